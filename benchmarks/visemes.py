"""What a portrait's mouth does for every sound: ``python -m benchmarks.visemes PORTRAITS… sheet.jpg``.

flite's free voices (the ``flite`` command) say sentences and tell when each phone is. One row for each
portrait, one column for each viseme: the middle of its most typical phone, eyes open. Printed: opening and
width of every viseme, and how open lips are at m, b and p against open vowels.
"""

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.looks import face_box, portrait_conditions
from benchmarks.sheet import sheet
from echomimic.arrays import Doubles
from echomimic.media.audio import Speech
from echomimic.media.image import Picture, resize
from echomimic.motion.performance import Performance
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.preview.engine import renderer_for
from training.simulate import lip_measures

VISEMES = {
    "m b p": ("m", "b", "p"),
    "f v": ("f", "v"),
    "o u w": ("ow", "uw", "w", "ao"),
    "a": ("aa", "ae", "aw", "ay"),
    "e i": ("iy", "ih", "ey"),
    "s z": ("s", "z"),
    "sh ch": ("sh", "ch", "jh"),
    "l n t d": ("l", "n", "t", "d"),
}
FPS = 25.0
SENTENCES = (
    "My mother baked a pumpkin pie for Bob and Pam.",
    "Five very fine fellows have left the village for food.",
    "Who knew you would choose those two new blue shoes?",
    "We saw a wolf go home over the snow below.",
    "Father parked the large black car behind the barn.",
    "She sees these three green trees, each leaf is clean.",
    "Sixty seven sisters sat inside the house and sang.",
    "Charlie should chew cheese and just show the judge.",
)
VOICES = ("slt", "rms", "awb")


def says(text: str, voice: str, path: Path) -> list[tuple[str, float, float]]:
    """Writes the speech; returns its phones, each with where it begins and ends, seconds."""
    command = ["flite", "-voice", voice, "-t", text, "-psdur", "-o", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    phones, start = [], 0.0
    for item in printed.split():
        name, end = item.rsplit(":", 1)
        phones.append((name, start, float(end)))
        start = float(end)
    return phones


def performances() -> list[tuple[Performance, list[tuple[str, int]]]]:
    """Every sentence in a voice, and the middle frame of each of its phones."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(SENTENCES):
            path = Path(folder) / f"{number}.wav"
            phones = says(text, VOICES[number % len(VOICES)], path)
            speech = Speech.open(path)
            frames = round(speech.seconds * FPS)
            acted = perform(speech, frames, FPS, seed=number)
            middles = [(name, min(frames - 1, round((a + b) / 2 * FPS))) for name, a, b in phones]
            made.append((acted, middles))
    return made


def measures(acted: Performance) -> Doubles:
    """(F, 3) opening, width and protrusion in outer eye distances."""
    shape = np.stack([acted.displacement(i) for i in range(len(acted))])
    return lip_measures(shape)


def typical() -> dict[str, tuple[Performance, int, npt.NDArray[np.float64]]]:
    """For every viseme the most typical moment, and the medians of its measures."""
    made = performances()
    tracks = [measures(acted) for acted, _ in made]
    chosen = {}
    for name, phones in VISEMES.items():
        found = [(k, i) for k, (_, middles) in enumerate(made) for phone, i in middles if phone in phones]
        values = np.array([tracks[k][i] for k, i in found])
        middle = np.median(values, axis=0)
        k, i = found[int(np.abs((values - middle) / (values.std(0) + 1e-6)).sum(1).argmin())]
        chosen[name] = made[k][0], i, middle
    return chosen


def main() -> None:
    """Prints the measures and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portraits", type=Path, nargs="+")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    chosen = typical()
    for name, (_, _, (gap, wide, forward)) in chosen.items():
        print(f"{name:8} opening {gap:.3f}   width {wide:+.3f}   protrusion {forward:+.3f}")
    print(f"m b p against open vowels: {chosen['m b p'][2][0] / chosen['a'][2][0]:.2f}")
    cells: list[Picture] = []
    for path in options.portraits:
        given = portrait_conditions(path, 512)
        renderer, cut = renderer_for(given), face_box(given)
        for acted, i, _ in chosen.values():
            face = renderer.render(replace(acted, blink=np.zeros_like(acted.blink)), i)[cut]
            side = face.shape[0]
            lower = face[round(0.38 * side) :, round(0.19 * side) : round(0.81 * side)]
            cells.append(resize(lower, 192, 192))
    Image.fromarray(sheet(cells, len(chosen), 192)).save(options.picture, quality=88)


if __name__ == "__main__":
    main()
