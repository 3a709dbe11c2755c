"""Audio frames: resampled, averaged, cleaned, measured, cut. Knows samples, no files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import av
import av.audio
import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray, Doubles

Wave = npt.NDArray[np.float32]

SLOWEST, FASTEST = 4000, 768_000
"""Samples per second between which a recording can be speech (telephones have 8000, studios up to 384000)."""

LOUDEST = 4.0
"""Amplitude (12 dB above full scale) up to which floating point samples are hot;
above it they are on another scale."""

CANCELLED = 0.1
"""Part of the loudest channel's power below which a mono mix has lost what that channel says (−10 dB)."""

LARGEST = 1e140
"""Amplitude at which samples are cut off before they are measured; their squares still are numbers."""

STRAY = 1e-4
"""Part of the samples that may be damaged (a bit of an exponent flipped) without speaking for the rest."""

APART = 4
"""Octaves (24 dB) by which stray samples lie above all others; speech has no such gaps."""

# Stands for all octaves up to ``LOUDEST``.
_USUAL = -(10**6)


class Resampler:
    """An ``av.AudioResampler`` for sound whose rate or channels may change midway, as in joined mp3 files.

    Layouts that FFmpeg cannot mix (17 channels, for instance) are averaged first.
    """

    def __init__(self, format: str, layout: str, rate: int) -> None:
        self._to = (format, layout, rate)
        self._from: tuple[str, int, int] | None = None
        self._inner = av.AudioResampler(*self._to)
        self._averages = False

    def resample(self, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
        """What is ready after ``frame``; None asks for the rest."""
        if frame is None:
            return self._inner.resample(None)
        kind = (frame.format.name, len(frame.layout.channels), frame.sample_rate)
        if self._from == kind:
            return self._inner.resample(average(frame) if self._averages else frame)
        done = [] if self._from is None else self._inner.resample(None)
        self._from, self._averages, self._inner = kind, False, av.AudioResampler(*self._to)
        try:
            return done + self._inner.resample(frame)
        except (av.FFmpegError, ValueError):
            self._averages, self._inner = True, av.AudioResampler(*self._to)
            return done + self._inner.resample(average(frame))


def channels_of(frame: av.AudioFrame) -> AnyArray:
    """(channels, T) samples of a frame in its own number format."""
    samples = frame.to_ndarray()
    count = len(frame.layout.channels)
    return samples if samples.shape[0] == count else samples.reshape(-1, count).T


def as_float(frame: av.AudioFrame) -> npt.NDArray[np.float64]:
    """(channels, T) samples of a frame, integers as −1…1; no NaN, nothing beyond 1e30."""
    samples: Any = channels_of(frame)
    if samples.dtype.kind == "f":
        wide: Doubles = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        return np.clip(wide, -LARGEST, LARGEST)
    zero = 128 if samples.dtype == np.uint8 else 0
    numbers: Doubles = samples.astype(np.float64)
    return (numbers - zero) / -float(np.iinfo(samples.dtype).min or -128)


def make_frame(wave: AnyArray, rate: int) -> av.AudioFrame:
    """An audio frame of (1 or 2, T) samples in −1…1."""
    samples = np.ascontiguousarray(wave, dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(
        samples, format="fltp", layout="mono" if len(samples) == 1 else "stereo"
    )
    frame.sample_rate = rate
    return frame


def average(frame: av.AudioFrame) -> av.AudioFrame:
    """A mono frame: the mean of all channels."""
    return make_frame(as_float(frame).mean(0, keepdims=True), frame.sample_rate)


def clean(frame: av.AudioFrame) -> av.AudioFrame:
    """The frame with samples that are no numbers turned into silence."""
    if frame.format.name not in _FLOATS or np.isfinite(frame.to_ndarray()).all():
        return frame
    return _like(frame, np.nan_to_num(frame.to_ndarray(), nan=0.0, posinf=0.0, neginf=0.0), frame.sample_rate)


def silence_like(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """A frame of silence in the number format, layout and rate of ``frame``."""
    now = frame.to_ndarray()
    width = len(frame.layout.channels) if now.shape[0] == 1 else 1
    zero = 128 if now.dtype == np.uint8 else 0
    return _like(frame, np.full((now.shape[0], samples * width), zero, now.dtype), frame.sample_rate)


def without_start(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """The frame without its first ``samples`` samples (fewer than it has)."""
    now = frame.to_ndarray()
    width = len(frame.layout.channels) if now.shape[0] == 1 else 1
    return _like(frame, now[:, samples * width :], frame.sample_rate)


def _like(frame: av.AudioFrame, samples: AnyArray, rate: int) -> av.AudioFrame:
    plain: Any = np.ascontiguousarray(samples)
    new = av.AudioFrame.from_ndarray(
        plain, format=frame.format.name, layout=frame.layout.name or frame.layout
    )
    new.sample_rate = rate
    return new


_FLOATS = ("flt", "fltp", "dbl", "dblp")


@dataclass
class _Share:
    """What was measured of a part of the samples: ``sums`` holds those of every channel's samples and of
    their squares."""

    peak: float = 0.0
    count: int = 0
    sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 1)))

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        self.sums = _added(self.sums, np.stack([samples.sum(1), (samples**2).sum(1)]))
        self.count += samples.shape[1]
        self.peak = max(self.peak, float(np.abs(samples).max()))


def _added(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sum of (2, channels) sums; a channel that one of them does not have is 0 there."""
    wide = np.zeros((2, max(one.shape[1], two.shape[1])))
    wide[:, : one.shape[1]] += one
    wide[:, : two.shape[1]] += two
    return wide


def power(count: int, sums: Doubles) -> Doubles:
    """Mean power of ``count`` samples of which ``sums`` holds the sum and that of the squares, each
    channel's constant part (which nobody hears) left out."""
    mean, square = sums / max(1, count)
    left: Doubles = np.maximum(square - mean**2, 0.0)
    return left


@dataclass
class Levels:
    """How loud every channel of a recording is; measured while its frames pass by.

    What lies beyond ``LOUDEST`` is kept apart by octaves, so that a few damaged samples are told from a
    recording on another scale.
    """

    _shares: dict[int, _Share] = field(default_factory=dict)

    def watch(self, frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
        """The same frames."""
        for frame in frames:
            if len(frame.layout.channels) > 1 or frame.format.name in _FLOATS:
                self.add(as_float(frame))
            yield frame

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        """Measures (channels, T) samples."""
        if not samples.size:
            return
        loud = np.abs(samples).max(0)
        octaves = np.where(loud > LOUDEST, np.frexp(loud)[1], _USUAL)
        for octave in np.unique(octaves).tolist():
            self._shares.setdefault(octave, _Share()).add(samples[:, octaves == octave])

    @property
    def _believed(self) -> list[_Share]:
        """All but stray samples: few, and far above the others."""
        octaves = sorted(self._shares)
        left, few = len(octaves), STRAY * sum(share.count for share in self._shares.values())
        for place in range(len(octaves) - 1, 0, -1):
            few -= self._shares[octaves[place]].count
            below = np.frexp(self._shares[octaves[place - 1]].peak)[1]
            if few < 0:
                break
            if octaves[place] - below >= APART:
                left = place
        return [self._shares[octave] for octave in octaves[:left]]

    @property
    def peak(self) -> float:
        """The largest amplitude, stray samples left out."""
        return max((share.peak for share in self._believed), default=0.0)

    @property
    def gain(self) -> float | None:
        """What to multiply with: less than 1 where the samples are on a scale beyond −1…1, 1 where a few only
        are to be cut off; None where nothing is to be done."""
        if not any(share.peak > LOUDEST for share in self._shares.values()):
            return None
        return 1.0 if self.peak <= LOUDEST else 1.0 / self.peak

    def channel(self, mixed: float) -> int | None:
        """The loudest channel, where a mono mix of mean power ``mixed`` has lost it;
        None where the mix will do."""
        believed = self._believed
        sums: Doubles = reduce(_added, (share.sums for share in believed), np.zeros((2, 1)))
        powers = power(sum(share.count for share in believed), sums) * (self.gain or 1.0) ** 2
        loudest = int(powers.argmax())
        return loudest if len(powers) > 1 and mixed < CANCELLED * powers[loudest] else None


def adjusted(
    frames: Iterable[av.AudioFrame], gain: float | None, channel: int | None
) -> Iterator[av.AudioFrame]:
    """The frames times ``gain`` and cut off at −1…1 (as they are where it is None), of one channel only where
    one is given; more than two channels become one."""
    if gain is None and channel is None:
        yield from frames
        return
    for frame in frames:
        samples = as_float(frame) * (1.0 if gain is None else gain)
        if channel is not None:
            samples = samples[min(channel, len(samples) - 1)][None]
        elif len(samples) > 2:
            samples = samples.mean(0, keepdims=True)
        yield make_frame(np.clip(samples, -1.0, 1.0), frame.sample_rate)
