"""Labelled speech for pre-training: sentences spoken by flite's free voices, with the time of every phone.

Ten minutes of recordings are too few to learn what an m looks like in a mel picture, and speech synthesisers
give that away: flite (apt-get install flite) prints the end of each phone. Sentences are random words, so no
corpus is needed.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echomimic.media.audio import RATE
from echomimic.motion.speech.log_mel import HOP, columns, log_mel, normalise
from training.data import MEL_PER_FRAME, clip_level

Array = npt.NDArray[np.float32]

VOICES = ("slt", "rms", "awb", "kal16")
PHONES = (
    *(
        "pau",
        "aa",
        "ae",
        "ah",
        "ao",
        "aw",
        "ax",
        "ay",
        "b",
        "ch",
        "d",
        "dh",
        "eh",
        "er",
        "ey",
        "f",
        "g",
        "hh",
        "ih",
    ),
    *(
        "iy",
        "jh",
        "k",
        "l",
        "m",
        "n",
        "ng",
        "ow",
        "oy",
        "p",
        "r",
        "s",
        "sh",
        "t",
        "th",
        "uh",
        "uw",
        "v",
        "w",
        "y",
    ),
    *("z", "zh"),
)
WORDS = (Path(__file__).parent / "words.txt").read_text().split()


@dataclass(frozen=True)
class Spoken:
    """One sentence: mel (4F, 80) normalised, phones (F, 41) share of each frame that is each phone."""

    mel: Array
    phones: Array


@dataclass(frozen=True)
class _Wave:
    wave: Array

    @property
    def samples(self) -> int:
        return len(self.wave)

    def read(self, start: int, stop: int) -> Array:
        low, high = max(start, 0), min(stop, len(self.wave))
        part = self.wave[low : max(low, high)]
        return np.asarray(np.pad(part, (low - start, stop - max(low, high))), dtype=np.float32)


def sentence(rng: np.random.Generator) -> str:
    """Random words with commas: no sense, but every phone in every neighbourhood."""
    words = [str(word) for word in rng.choice(WORDS, rng.integers(6, 14))]
    return " ".join(word + ("," if rng.random() < 0.12 else "") for word in words) + str(
        rng.choice([".", "?"])
    )


def spoken(count: int, seed: int = 0) -> list[Spoken]:
    """`count` sentences by all voices at various heights and speeds. Needs the flite command."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        return [_speak(rng, VOICES[i % len(VOICES)], Path(folder) / "speech.wav") for i in range(count)]


def _speak(rng: np.random.Generator, voice: str, path: Path) -> Spoken:
    command = ["flite", "-voice", voice, "-t", sentence(rng), "-psdur", "-o", str(path)]
    command += ["--setf", f"int_f0_target_mean={rng.uniform(85, 220):.0f}"]
    command += ["--setf", f"duration_stretch={rng.uniform(0.75, 1.25):.2f}"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(
            32768
        )
    mel = log_mel(_Wave(samples), 0, columns(_Wave(samples)) // MEL_PER_FRAME * MEL_PER_FRAME)
    return Spoken(normalise(mel, clip_level(mel)), labels(printed, len(mel)))


def labels(printed: str, mels: int) -> Array:
    """(F, 41) from flite's "phone:end phone:end …", averaged from mel columns to frames."""
    ends = [item.rsplit(":", 1) for item in printed.split()]
    hot = np.zeros((mels, len(PHONES)), np.float32)
    start = 0
    for phone, end in ends:
        stop = round(float(end) * RATE / HOP)
        hot[start:stop, PHONES.index(phone)] = 1
        start = stop
    hot[start:, 0] = 1
    return np.asarray(hot.reshape(-1, MEL_PER_FRAME, len(PHONES)).mean(1), dtype=np.float32)
