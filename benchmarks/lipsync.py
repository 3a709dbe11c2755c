"""How well lips and sound agree in a finished video: ``python -m benchmarks.lipsync [--portrait P] [--speech
S]``.

Renders the portrait, follows the face through the video again and compares what is seen with what was heard
and meant: lag of the mouth behind the sound (goal: within 40 ms), correlation of the seen opening with the
intended one (goal:
0.95), opening of m, b, p as a share of open vowels', and the mouth's speed. Opening is the distance of the
inner lip points 13 and 14 over the distance of the outer eye corners. Phone times come from flite (apt-get
install flite), which then also speaks; with ``--speech`` there are none, and only the measures that need none
are printed.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echomimic.evaluate.face_meter import FaceMeter
from echomimic.evaluate.life import whole
from echomimic.evaluate.lips import agreement, extremes_at, find_lag
from echomimic.evaluate.observe import watch
from echomimic.evaluate.result import Values
from echomimic.flow import animate
from echomimic.media.audio import Speech
from echomimic.media.video import VideoReader
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.motion.tracks import smooth_wide
from echomimic.progress import silent

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example" / "portrait.jpg"
SENTENCE = (
    "My name is Peppa. Bob may buy a big map of Alabama, but papa and mama warm my apple pie. "
    "Move over, please!"
)
BILABIAL = frozenset({"m", "b", "p"})
OPEN = frozenset({"aa", "ae", "ah", "ay", "aw", "eh", "ao"})
HALF_OPEN = frozenset(
    {"ax", "er", "ey", "ih", "iy", "ow", "oy", "uh", "hh", "l", "r", "y", "dh", "k", "g", "n"}
)


@dataclass(frozen=True)
class Phone:
    name: str
    start: float
    stop: float


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portrait", type=Path, default=EXAMPLE)
    parser.add_argument(
        "--speech", type=Path, help="a recording; without it flite speaks a sentence full of m, b and p"
    )
    parser.add_argument("--voice", default="slt", help="flite's voice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        said: list[Phone] = []
        speech = options.speech
        if speech is None:
            speech = Path(folder) / "speech.wav"
            said = speak(options.voice, speech)
        video = Path(folder) / "talk.mp4"
        animate(options.portrait, speech, video, seed=options.seed)
        reader = VideoReader(video)
        seen = openings(reader)
        wanted = intended(Speech.open(speech), len(seen), reader.fps, options.seed)
    for name, value, goal in measures(seen, reader.fps, wanted, said):
        print(f"{name:52} {value:>12}   {goal}")


def speak(voice: str, path: Path) -> list[Phone]:
    """Let flite say the sentence; when each phone is spoken."""
    command = ["flite", "-voice", voice, "-t", SENTENCE, "-psdur", "-o", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    phones, start = [], 0.0
    for item in printed.split():
        name, stop = item.rsplit(":", 1)
        phones.append(Phone(name, start, float(stop)))
        start = float(stop)
    return phones


def openings(reader: VideoReader) -> Values:
    """(F,) opening of the mouth in each frame of a video, in eye distances,
    as `echomimic evaluate` reads it."""
    seen = whole(watch(reader, [FaceMeter()], reader.frames, silent).series["opening"])
    assert seen is not None, "the rendered video shows no face"
    return seen


def intended(speech: Speech, frames: int, fps: float, seed: int) -> Values:
    """(F,) opening that the performance asks for, in eye distances."""
    wanted = perform(speech, frames, fps, seed=seed).expression @ mouth_model().gap
    return np.asarray(np.maximum(wanted, 0), dtype=np.float64)


def measures(seen: Values, fps: float, wanted: Values, said: list[Phone]) -> Iterator[tuple[str, str, str]]:
    """Name, value and goal of each measure.
    Until the first sound the photo keeps its own mouth, which may be open."""
    begin = int(np.argmax(wanted > 0.02))
    meant, shown = wanted[begin:], seen[begin:]
    yield "seen opening follows the intended one, r", f"{agreement(meant, shown) or 0:.3f}", "goal >= 0.95"
    yield "seen behind intended", lag(meant, shown, fps), "goal within 40 ms"
    if said:
        heard = openness(said, len(seen), fps)
        yield "mouth behind sound", lag(heard, smooth_wide(seen, 0.6), fps), "goal within 40 ms"
        closed = extremes_at(seen, middles(said, BILABIAL), fps, "least") or 0.0
        wide = extremes_at(seen, middles(said, OPEN), fps, "most") or 1.0
        yield "opening at m, b, p", f"{closed:.3f}", ""
        yield "opening at open vowels", f"{wide:.3f}", ""
        yield "ratio", f"{closed / wide:.2f}", "real speakers 0.32, less is more distinct"
    yield "speed of the mouth", f"{np.abs(np.diff(shown)).mean() * fps:.2f} /s", "real speakers 0.44"


def lag(first: Values, second: Values, fps: float) -> str:
    """By how much `second` comes after `first`, for people."""
    found = find_lag(first, second, fps)
    return "none" if found is None else f"{1000 * found:+.0f} ms"


def openness(said: list[Phone], frames: int, fps: float) -> Values:
    """(F,) how open a mouth is for the phones spoken, 0 to 1, softened as lips do."""
    fine = np.zeros(4 * frames)
    for phone in said:
        value = 1.0 if phone.name in OPEN else 0.4 if phone.name in HALF_OPEN else 0.05
        fine[round(phone.start * 4 * fps) : round(phone.stop * 4 * fps)] = value
    return smooth_wide(fine, 3.5)[::4]


def middles(said: list[Phone], names: frozenset[str]) -> list[float]:
    """When the middle of each of these phones is spoken, in seconds."""
    return [(phone.start + phone.stop) / 2 for phone in said if phone.name in names]


if __name__ == "__main__":
    main()
