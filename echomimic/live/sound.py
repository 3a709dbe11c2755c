"""The sound of a session: chunks of any size and form become one line of samples at two rates.

One line (16 kHz) is what is listened to, the other is sent on with the frames. Each has one resampler, which
keeps its state from chunk to chunk, so the chunks leave no trace.
"""

import av
import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray, Doubles, Floats
from echomimic.errors import SpeechError
from echomimic.media.audio import RATE
from echomimic.media.samples import CANCELLED, LARGEST, Resampler, make_frame

LOWEST, HIGHEST = 8000, 48_000
"""Sample rates that are taken, Hz."""


def as_mono(
    pcm: "bytes | bytearray | memoryview | npt.NDArray[np.generic]", rate: int, channels: int = 1
) -> Floats:
    """(T,) float32 in −1…1 of a chunk: int16 bytes (interleaved), or an int16 or float array, (T,) or
    (channels, T).

    Raises :class:`SpeechError` for a rate that is not taken, half a sample, or a sample that is no number.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or not LOWEST <= rate <= HIGHEST:
        raise SpeechError(f"a chunk at {rate!r} Hz cannot be used; send {LOWEST} to {HIGHEST} Hz")
    if isinstance(pcm, (bytes, bytearray, memoryview)):
        wave: AnyArray = _from_bytes(bytes(pcm), channels)
    else:
        wave = np.atleast_2d(np.asarray(pcm))
    if wave.ndim != 2 or wave.dtype.kind not in "fi" or wave.dtype.itemsize < 2:
        raise SpeechError(
            f"a chunk of {wave.dtype}, {wave.ndim}-dimensional, cannot be used; send int16 or float"
        )
    if not np.isfinite(wave).all():
        raise SpeechError("a chunk holds a sample that is not a number; send numbers between -1 and 1")
    scale = 2.0 ** (1 - 8 * wave.dtype.itemsize) if wave.dtype.kind == "i" else 1.0
    mono = _mixed(np.clip(wave.astype(np.float64), -LARGEST, LARGEST)) * scale if wave.size else np.zeros(0)
    return np.clip(mono, -1.0, 1.0).astype(np.float32)


def _mixed(wave: Doubles) -> Doubles:
    """The mean of the channels, or the louder one where they cancel each other."""
    mixed: Doubles = wave.mean(0)
    powers = wave.var(1)
    loudest = int(powers.argmax())
    cancelled = float(mixed.var()) < CANCELLED * float(powers[loudest])
    return wave[loudest] if cancelled else mixed


def _from_bytes(pcm: bytes, channels: int) -> npt.NDArray[np.int16]:
    if channels not in (1, 2):
        raise SpeechError(f"{channels} channels cannot be used; send one or two")
    if len(pcm) % (2 * channels):
        raise SpeechError(f"a chunk of {len(pcm)} bytes ends within a sample; send whole samples of 16 bits")
    samples: npt.NDArray[np.int16] = np.frombuffer(pcm, "<i2").reshape(-1, channels).T
    return samples


def as_int16(sound: Floats) -> bytes:
    """Little-endian 16-bit samples of (T,) floats in −1…1: what goes over a wire."""
    return np.round(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


class Line:
    """Mono samples at one rate, resampled as they come and taken from the front."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._resampler = Resampler("fltp", "mono", rate)
        self._from = rate
        self._parts: list[Floats] = []
        self.taken = 0
        """Samples taken so far."""
        self.length = 0
        """Samples put in so far, at this line's rate."""

    def put(self, wave: Floats, rate: int) -> None:
        """More sound, at a rate that may change from chunk to chunk."""
        if rate != self._from:
            self.flush()
            self._from = rate
        if rate == self.rate:
            self._add(wave)
        elif len(wave):
            self._collect(self._resampler.resample(make_frame(wave[None], rate)))

    def flush(self) -> None:
        """The utterance is over: what the resampler holds back comes out, the next one begins afresh."""
        if self._from != self.rate:
            self._collect(self._resampler.resample(None))
            self._resampler = Resampler("fltp", "mono", self.rate)

    def pad(self, length: int) -> None:
        """Silence up to ``length`` samples in all; what is beyond it (a rounding) is cut."""
        if self.length > length:
            extra = self.length - length
            rest = self._join()
            self._parts, self.length = [rest[: max(0, len(rest) - extra)]], length
        self._add(np.zeros(length - self.length, np.float32))

    def take(self, count: int) -> Floats:
        """The next ``count`` samples; silence where there are fewer."""
        rest = self._join()
        self._parts = [rest[count:]]
        self.taken += count
        return np.pad(rest[:count], (0, max(0, count - len(rest))))

    def drop(self) -> None:
        """Forgets what was not taken."""
        self._parts = []
        self.length = self.taken
        self._resampler = Resampler("fltp", "mono", self.rate)

    @property
    def waiting(self) -> int:
        """Samples that are there and not taken."""
        return sum(map(len, self._parts))

    def _join(self) -> Floats:
        joined = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        self._parts = [joined]
        return joined

    def _collect(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            self._add(frame.to_ndarray()[0].astype(np.float32))

    def _add(self, wave: Floats) -> None:
        if len(wave):
            self._parts.append(wave)
            self.length += len(wave)


LISTENED = RATE
