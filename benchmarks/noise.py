"""What noise, music and tones do to the mouth: ``python -m benchmarks.noise``.

How much the mouth moves (deviation of the opening) when speech is heard through noise, as a share of what it
does for the clean speech, and how well it moves in the same way; and how much it moves for music and tones
alone, as a share of clean speech. Heard both ways: a speech known whole (a video), and as it comes in (live).
Speech: the shipped example, and a sentence by flite and espeak-ng (where they are installed). Noise: white,
pink, and babble of other speech. Music: chords, bass and drums, made here.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lipsync import SENTENCE
from echomimic.arrays import Doubles, Floats
from echomimic.media.audio import RATE, Speech
from echomimic.motion.performance import join
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.motion.speech.performance_from_speech import perform
from echomimic.motion.speech.stepper import Stepper

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example" / "speech.flac"
LOUD = 0.08
"""Root mean square of all sounds."""
WAYS = ("whole", "live")
_CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
_BEAT = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Line:
    """A condition: how much the mouth moves against clean speech, and how alike (None where not asked)."""

    name: str
    moves: float
    alike: float | None
    wanted: str


def speeches(folder: Path) -> dict[str, Floats]:
    """Clean speech, 16 kHz."""
    commands = {
        f"flite {voice}": ["flite", "-voice", voice, "-t", SENTENCE, "-o"] for voice in ("slt", "rms", "awb")
    } | {"espeak-ng": ["espeak-ng", "-s", "150", SENTENCE, "-w"]}
    found = {"example": _read(EXAMPLE)}
    for name, command in commands.items():
        if shutil.which(command[0]):
            path = folder / f"{name}.wav"
            subprocess.run([*command, str(path)], check=True, capture_output=True)
            found[name] = _read(path)
    return found


def _read(path: Path) -> Floats:
    speech = Speech.open(path)
    return levelled(speech.read(0, speech.samples))


def levelled(wave: Floats | Doubles, loud: float = LOUD) -> Floats:
    """The wave at one loudness."""
    return np.asarray(wave * (loud / max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)), np.float32)


def white(samples: int, rng: np.random.Generator) -> Floats:
    return levelled(rng.standard_normal(samples))


def pink(samples: int, rng: np.random.Generator) -> Floats:
    """As much power in each octave."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    return levelled(np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), samples))


def babble(samples: int, voices: list[Floats], rng: np.random.Generator) -> Floats:
    """Eight people who talk at once."""
    total = np.zeros(samples)
    for _ in range(8):
        voice = voices[int(rng.integers(len(voices)))]
        total += np.roll(np.resize(voice, samples), int(rng.integers(samples)))
    return levelled(total)


def music(seconds: float, rng: np.random.Generator, *, drums: bool = True) -> Floats:
    """Chords with overtones that fade, a bass, and a drum on each beat."""
    time = np.arange(int(seconds * RATE)) / RATE
    total = np.zeros(len(time))
    for beat in range(int(seconds / _BEAT)):
        start = int(beat * _BEAT * RATE)
        rest = time[: len(time) - start]
        chord = _CHORDS[beat // 4 % len(_CHORDS)]
        for note in (chord[0] - 24, *chord, chord[beat % 3] + 12):
            pitch = 261.6 * 2 ** (note / 12)
            for overtone in range(1, 7):
                wave = np.sin(2 * np.pi * pitch * overtone * rest) * np.exp(-rest * (2.0 + overtone))
                total[start:] += wave / overtone**1.3
        if drums:
            drum = rng.standard_normal(len(rest)) * np.exp(-rest * 35) * (2.5 if beat % 2 else 0.8)
            total[start:] += drum + 3 * np.sin(2 * np.pi * 55 * rest) * np.exp(-rest * 12) * (beat % 2 == 0)
    return levelled(total)


def tones(seconds: float) -> Floats:
    """A held tone, a ringing telephone, a rising whistle, each a third of the time."""
    time = np.arange(int(seconds * RATE / 3)) / RATE
    held = np.sin(2 * np.pi * 440 * time)
    ringing = (np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 480 * time)) * (time % 1.0 < 0.5)
    rising = np.sin(2 * np.pi * (300 * time + 200 * time**2))
    return levelled(np.concatenate([held, ringing, rising]))


def opening(wave: Floats, way: str, seed: int = 0) -> Doubles:
    """(F,) opening of the mouth at 25 per second."""
    if way == "whole":
        speech = Speech.from_array(wave, RATE)
        made = perform(speech, int(len(wave) / RATE * FRAME_RATE), FRAME_RATE, seed=seed)
    else:
        stepper = Stepper(seed=seed)
        made = join([stepper.push(wave), stepper.end()])
    return np.asarray(made.expression @ mouth_model().gap, np.float64)


def lines(way: str, spoken: dict[str, Floats], seconds: float) -> Iterator[Line]:
    """Each condition, averaged over the speeches."""
    rng = np.random.default_rng(0)
    clean = {name: opening(wave, way) for name, wave in spoken.items()}
    voices = list(spoken.values())
    noises: dict[str, Callable[[int], Floats]] = {
        "white noise": lambda samples: white(samples, rng),
        "pink noise": lambda samples: pink(samples, rng),
        "babble": lambda samples: babble(samples, voices, rng),
        "music": lambda samples: music(samples / RATE + 1, rng)[:samples],
    }
    for name, noise in noises.items():
        for ratio, wanted in ((20, ""), (10, ">= 0.80"), (0, ">= 0.50")):
            parts = []
            for voice, wave in spoken.items():
                heard = opening(wave + noise(len(wave)) * np.float32(10 ** (-ratio / 20)), way)
                parts.append((heard.std() / clean[voice].std(), np.corrcoef(heard, clean[voice])[0, 1]))
            moves, alike = np.mean(parts, 0)
            yield Line(f"speech in {name}, {ratio} dB", float(moves), float(alike), wanted)
    usual = float(np.mean([track.std() for track in clean.values()]))
    alone = {
        "music": music(seconds, rng),
        "chords without drums": music(seconds, rng, drums=False),
        "tones": tones(seconds),
        "white noise": white(int(seconds * RATE), rng),
        "pink noise": pink(int(seconds * RATE), rng),
    }
    for name, wave in alone.items():
        yield Line(f"{name} alone", float(opening(wave, way).std()) / usual, None, "< 0.05")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=12.0, help="of music and of tones")
    parser.add_argument("--way", choices=WAYS, action="append", help="one way only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spoken = speeches(Path(folder))
    for way in options.way or WAYS:
        print(f"{'heard ' + way:32}{'moves':>8}{'alike':>8}")
        for line in lines(way, spoken, options.seconds):
            alike = "" if line.alike is None else f"{line.alike:.2f}"
            print(f"{line.name:32}{line.moves:8.2f}{alike:>8}   {line.wanted}", flush=True)


if __name__ == "__main__":
    main()
