"""Log-mel pictures of speech, computed in a stream: hours of sound in flat memory.

80 triangular bands from 50 Hz to 8 kHz, one column every 10 ms (100 per second), 25 ms Hann window,
pre-emphasis 0.97. Column i is centred at i x 10 ms. The mouth net was trained on exactly this definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Floats, multiply_rows, smoothstep
from echomimic.media.audio import RATE

HOP = 160
WINDOW = 400
BANDS = 80
PER_SECOND = RATE // HOP
FRAME_RATE = 25
"""Frames per second at which mouth, head and gestures are made,
before they are brought to the video's rate."""
SPEAKING = 0.36
"""The activity (see `activity`) above which something is said; tuned on the shipped speech's pauses."""
CHUNK = 60 * PER_SECOND
BEFORE, AFTER = WINDOW // 2 + 1, WINDOW // 2
"""Samples before (one more for the pre-emphasis) and after a column's centre that it is made of."""

_FFT = 512
_SCALE = 3.0
_FLOOR = 3.2
_ACTIVE_RANGE = 6.0
VOLUME = 0.15
"""Root mean square that speech is brought to before its logarithm is taken."""
_SILENCE = 1e-3
_PAUSES, _QUIETER = 0.1, 0.02
"""Share of the columns, the quietest ones, that tell what is heard when nobody speaks; and a smaller share of
them."""
_STEADY, _UNSTEADY = 0.25, 0.5
"""Log power between the loudest columns of the two shares, up to which they are a room's noise (white and
pink: 0.13 to 0.23), and from which on they are the voice's own quiet sounds (clean speech: 0.5 to 2): taking
these out cost people whom the nets never saw 0.03 of their correlation."""
# By how much more than its mean a noise is taken away: it comes and goes.
_OVER = 2.0
# Log share of a band's power that is left where there is nothing but noise: silence is left alone, and the
# nets know floors as high as this.
_LEFT = np.float32(-5.0)
_CLEAR, _HIDDEN = 4.0, -2.0
"""Log power of the voice over the room's from which on nothing is hidden, and below which much is: with noise
at 10 dB it is -3, in clean recordings 6 to 12."""
# What is left of a room's power where there is none.
_NO_ROOM = 1e-6
_NEAR = np.array([1, 2, 3, 2, 1], np.float32) / 9
_QUIETEST = -9.0


class Sound(Protocol):
    """What this room needs of a speech: 16 kHz mono samples that can be read in pieces."""

    @property
    def samples(self) -> int: ...

    def read(self, start: int, stop: int) -> Floats:
        """Samples start to stop as float32 in -1 to 1, zero outside the speech."""
        ...


@dataclass(frozen=True)
class Level:
    """What one utterance is normalised by: its loudness and its spectral tilt, over the columns in which it
    speaks.

    level: mean log power. tilt: (80,) mean log power per band minus the level. peak: log power of the loud
    columns. gain: what the wave is multiplied by first, so that quiet recordings do not drown in the
    logarithm's own floor. noise: (80,) log power of what is heard in pauses, of the wave times `gain`.
    """

    level: float
    tilt: Floats
    peak: float
    gain: float = 1.0
    noise: Floats | None = None

    @property
    def muffled(self) -> float:
        """0 where the voice stands clear of the room, 1 where the room's noise hides much of it."""
        if self.noise is None:
            return 0.0
        above = self.level - float(self.noise.mean())
        return float(np.clip((_CLEAR - above) / (_CLEAR - _HIDDEN), 0, 1))


@lru_cache(maxsize=1)
def filters() -> Floats:
    """(80, 257) triangular mel filters (HTK scale, peak 1)."""
    mel = np.linspace(2595 * np.log10(1 + 50 / 700), 2595 * np.log10(1 + 8000 / 700), BANDS + 2)
    edge = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / RATE)
    rising = (bins - edge[:-2, None]) / np.diff(edge)[:-1, None]
    falling = (edge[2:, None] - bins) / np.diff(edge)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(sound: Sound, start: int, stop: int, gain: float = 1.0) -> Floats:
    """(stop - start, 80) log-mel columns of the sound times `gain`;
    columns outside the speech are those of silence."""
    first = start * HOP - BEFORE
    return mel_of(sound.read(first, (stop - 1) * HOP + AFTER), gain)


def mel_of(wave: Floats, gain: float = 1.0) -> Floats:
    """All columns that fit into a wave whose first column is centred at sample BEFORE."""
    wave = wave.astype(np.float32) * np.float32(gain)
    wave = wave[1:] - np.float32(0.97) * wave[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP] * np.hanning(WINDOW).astype(
        np.float32
    )
    power = np.abs(np.fft.rfft(frames, _FFT)).astype(np.float32) ** 2
    return np.asarray(np.log(multiply_rows(power, filters().T) + 1e-7), dtype=np.float32)


def columns(sound: Sound) -> int:
    """How many columns the speech has."""
    return sound.samples // HOP + 1


def chunks(sound: Sound, gain: float = 1.0) -> Iterator[Floats]:
    """The log-mel picture of the whole speech, a minute at a time."""
    total = columns(sound)
    for start in range(0, total, CHUNK):
        yield log_mel(sound, start, min(start + CHUNK, total), gain)


def loud(energy: npt.NDArray[np.float32]) -> float:
    """The energy that a twentieth of the columns exceed: the mark speech activity is measured from."""
    return float(np.quantile(energy, 0.95))


def measure(sound: Sound) -> Level:
    """Read the speech for its volume, its loudness and the mean spectrum of its active columns.

    What stays far below any voice even when turned up has no active columns: a hum in a silent recording says
    nothing.
    """
    gain = VOLUME / max(_volume(sound), _SILENCE)
    return level_of(lambda: chunks(sound, gain), gain)


def level_of(parts: Callable[[], Iterator[Floats]], gain: float = 1.0) -> Level:
    """The level of a log-mel picture that can be had, in pieces, again and again."""
    noise = _room(parts)
    level = Level(0.0, np.zeros(BANDS, np.float32), 0.0, gain, noise)
    energy = np.concatenate([subtract_noise(mel, level).mean(1) for mel in parts()])
    peak = max(loud(energy), _QUIETEST, float(noise.mean()))
    total, count = np.zeros(BANDS, np.float64), 0
    for mel in parts():
        heard = subtract_noise(mel, level)
        active = heard[heard.mean(1) > peak - _ACTIVE_RANGE]
        total, count = total + active.sum(0, dtype=np.float64), count + len(active)
    spectrum = total / count if count else np.full(BANDS, peak)
    tilt = (spectrum - spectrum.mean()).astype(np.float32)
    return replace(level, level=float(spectrum.mean()), tilt=tilt, peak=peak)


def _room(parts: Callable[[], Iterator[Floats]]) -> Floats:
    """(80,) log of the mean power of the quietest columns; far less where they are not alike."""
    energy = np.concatenate([mel.mean(1) for mel in parts()])
    quietest, pauses = np.quantile(energy, (_QUIETER, _PAUSES))
    quiet, power, at = energy <= pauses, np.zeros(BANDS, np.float64), 0
    for mel in parts():
        power += np.exp(mel[quiet[at : at + len(mel)]]).sum(0, dtype=np.float64)
        at += len(mel)
    steady = 1 - smoothstep(np.asarray(pauses - quietest), _STEADY, _UNSTEADY)
    return np.asarray(np.log(power / quiet.sum()) + np.log(np.maximum(steady, _NO_ROOM)), np.float32)


def subtract_noise(mel: Floats, level: Level) -> Floats:
    """Log-mel without the noise of the room: spectral subtraction, smoothed over neighbouring bands."""
    if level.noise is None:
        return mel
    power = np.pad(np.exp(mel), ((0, 0), (2, 2)), mode="edge")
    near = sum(w * power[:, i : i + BANDS] for i, w in enumerate(_NEAR))
    share = 1 - _OVER * np.exp(level.noise) / near
    return np.asarray(mel + np.maximum(np.log(np.maximum(share, 1e-6)), _LEFT), np.float32)


def _volume(sound: Sound) -> float:
    """Root mean square of the loud tenths of a second."""
    part = RATE // 10
    powers = []
    for start in range(0, sound.samples, CHUNK * HOP):
        wave = sound.read(start, min(start + CHUNK * HOP, sound.samples))
        wave = np.pad(wave, (0, -len(wave) % part)).reshape(-1, part)
        powers.append((wave * wave).mean(1))
    return float(np.sqrt(np.quantile(np.concatenate(powers), 0.9))) if powers else 0.0


def activity(mel: Floats, level: Level) -> Floats:
    """Loudness of each column, 0 in silence to 1 in the loudest speech."""
    return np.asarray(
        np.clip((subtract_noise(mel, level).mean(1) - level.peak) / _ACTIVE_RANGE + 1, 0, 1), dtype=np.float32
    )


def normalise(mel: Floats, level: Level) -> Floats:
    """Log-mel relative to the utterance: level removed, tilt halved, a soft floor about 40 dB below the
    voice.

    Level and microphone tilt say nothing about the mouth. The floor hides whether a pause is digital or room
    silence.
    """
    flat = (subtract_noise(mel, level) - level.level - 0.5 * level.tilt) / _SCALE
    return np.asarray(np.logaddexp(flat * _SCALE, np.float32(-_FLOOR * _SCALE)) / _SCALE, dtype=np.float32)
