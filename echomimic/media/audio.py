"""Sound in: any container and rate becomes mono 16 kHz samples,
kept on disk so that memory stays flat for hours."""

import numbers
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.audio
import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray
from echomimic.errors import ResourceError, SpeechError
from echomimic.media.clock import UNHEARD
from echomimic.media.container import decoded, film_begin, open_media, sound_stream, stamp
from echomimic.media.files import check_readable
from echomimic.media.joins import clock_of
from echomimic.media.samples import (
    FASTEST,
    LOUDEST,
    SLOWEST,
    Levels,
    Resampler,
    Wave,
    adjusted,
    clean,
    make_frame,
    power,
    silence_like,
    without_start,
)

RATE = 16000
"""Samples per second that every engine listens to."""

SHORTEST = 0.2
"""Seconds of the shortest speech that makes a video."""

SILENCE = 10 ** (-55 / 20)
"""Peak amplitude below which a recording counts as silent (−55 dBFS)."""

# Amplitude at which samples from an array are cut off.
_LARGEST = float(np.finfo(np.float32).max)

# Seconds by which a stamp may be rounded; a TS counts in 90 000ths.
_ROUNDED = Fraction(1, 10_000)

# Seconds of silence put in from which on the user is told.
_TOLD = Fraction(1, 10)

Mono = npt.NDArray[np.int16]


@dataclass
class _Repairs:
    """What had to be put between the samples of a file to keep their time:
    seconds of silence first, and later."""

    lead: Fraction = Fraction(0)
    holes: Fraction = Fraction(0)

    def notes(self, name: str) -> Iterator[str]:
        """One line for each thing a user may want to know."""
        if self.lead > _TOLD:
            lead = f"{float(self.lead):.2f} s"
            yield f"the sound of {name} begins {lead} after its picture; until then it is silent"
        if self.holes > _TOLD:
            yield f"{name} has holes in its sound, {float(self.holes):.2f} s in all; they are silent"


@dataclass(frozen=True, eq=False)
class _Source:
    """Where the original sound comes from: a film that begins at ``begin`` (its own seconds), or (channels,
    T) samples.

    ``gain`` is what its samples are multiplied with; None leaves them alone.
    """

    of: Path | Wave
    rate: int
    begin: Fraction = Fraction(0)
    gain: float | None = None

    def frames(self, repairs: _Repairs | None = None) -> Iterator[av.AudioFrame]:
        """The sound from the film's beginning on; ``repairs`` learns what was put in between."""
        if isinstance(self.of, np.ndarray):
            return _blocks(self.of, self.rate)
        return _placed(self.of, self.begin, repairs or _Repairs())


@dataclass(frozen=True, eq=False)
class Speech:
    """A recording: mono 16 kHz to listen to (:meth:`read`), and the original to be heard (:meth:`sound`).

    ``rate`` and ``channels`` describe the original, ``peak`` (0…1) is the largest amplitude of the mono mix
    around its mean.
    ``notes`` are remarks for the user, one line each. A film's sound begins with the film: silence comes
    first where it is late.
    """

    name: str
    rate: int
    channels: int
    samples: int
    peak: float
    _mono: Mono
    _source: _Source = field(repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path | str) -> "Speech":
        """Decodes a sound file, or the sound of a video, once. Raises :class:`SpeechError`."""
        path = Path(path)
        check_readable(path, SpeechError, "a sound file (wav, mp3, m4a, flac, ogg, …)")
        rate, channels, notes = _look(path)
        try:
            return cls._from(str(path), _Source(path, rate, film_begin(path)), channels, notes)
        except av.FFmpegError as error:
            reason = f"{channels} channels at {rate} Hz: {error.strerror}"
            raise SpeechError(f"{path} cannot be converted ({reason}); save it as a stereo WAV") from None
        except OSError as error:
            place = f"{path} cannot be decoded into a temporary file"
            raise ResourceError(
                f"{place} ({error.strerror or error}); free some room, or set TMPDIR"
            ) from None

    @classmethod
    def from_array(cls, waveform: AnyArray, rate: int, name: str = "the speech") -> "Speech":
        """From samples in −1…1, shape (T,) or (channels, T), at ``rate`` Hz. Raises :class:`SpeechError`."""
        rate = _checked_rate(rate, name)
        try:
            wave = np.atleast_2d(np.asarray(waveform, dtype=np.float64))
        except (TypeError, ValueError):
            raise SpeechError(f"{name} is not made of numbers; give an array of samples in -1 to 1") from None
        if wave.ndim != 2 or wave.size == 0:
            raise SpeechError(f"{name} is empty; give a recording of at least {SHORTEST} s")
        wave = np.clip(np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0), -_LARGEST, _LARGEST)
        wave = wave if np.abs(wave).max() > LOUDEST else np.clip(wave, -1.0, 1.0)
        if wave.shape[0] > 2:
            wave = wave.mean(0, keepdims=True)
        return cls._from(name, _Source(wave.astype(np.float32), rate), len(wave))

    @classmethod
    def _from(cls, name: str, source: _Source, channels: int, known: Iterable[str] = ()) -> "Speech":
        """Listens once; again where the first time showed another scale,
        or a channel that is lost among the others."""
        levels, repairs, notes = Levels(), _Repairs(), [*known]
        mono = _spool(levels.watch(source.frames(repairs)))
        if levels.gain is not None:
            source = replace(source, gain=levels.gain)
            notes.append(f"{name} {_scale_note(levels)}")
            mono = _spool(adjusted(source.frames(), source.gain, None))
        channel = levels.channel(_power(mono))
        if channel is not None:
            notes.append(
                f"mixed, the channels of {name} lose what channel {channel + 1} says; it alone is listened to"
            )
            mono = _spool(adjusted(source.frames(), source.gain, channel))
        _check_length(name, mono)
        peak = _peak(mono)
        return cls(name, source.rate, channels, len(mono), peak, mono, source, (*repairs.notes(name), *notes))

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / RATE

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard in it."""
        return self.peak < SILENCE

    def read(self, start: int, stop: int) -> Wave:
        """Samples ``start`` to ``stop`` of the mono 16 kHz signal,
        (stop − start,) float32 in −1…1; zeros outside."""
        out = np.zeros(max(0, stop - start), dtype=np.float32)
        first, last = max(0, start), min(self.samples, stop)
        if last > first:
            out[first - start : last - start] = self._mono[first:last].astype(np.float32) / 32768.0
        return out

    def sound(self) -> Iterator[av.AudioFrame]:
        """The original sound, frame by frame, for the encoder."""
        return adjusted(self._source.frames(), self._source.gain, None)


def _scale_note(levels: Levels) -> str:
    if levels.gain == 1.0:
        return "has a few samples far beyond full scale; they were cut off"
    return f"has samples up to {levels.peak:.3g} where 1 is full scale; it was turned down"


def _look(path: Path) -> tuple[int, int, list[str]]:
    """Sample rate, number of channels and remarks.
    Raises SpeechError when the file holds no sound that can be decoded."""
    try:
        container = open_media(path)
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpeechError(
            f"{path} is not a sound file this program reads ({reason}); save it as WAV or MP3"
        ) from None
    with container:
        stream = sound_stream(container)
        if stream is None:
            raise SpeechError(f"{path} has no sound track; give a recording, or a video with sound")
        if stream.codec_context is None:
            raise SpeechError(
                f"{path} is coded in a way that this program does not know; save it as WAV or MP3"
            )
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        tracks = list(container.streams.audio)
        which = f"{path} has {len(tracks)} sound tracks; number {tracks.index(stream) + 1} is listened to"
    return _checked_rate(rate or RATE, str(path)), channels or 1, [which] if len(tracks) > 1 else []


def _checked_rate(rate: Any, name: str) -> int:
    real: type[Any] = numbers.Real  # numpy's numbers too
    if not isinstance(rate, real) or not SLOWEST <= rate <= FASTEST or int(rate) != rate:
        wanted = f"save it at {SLOWEST} to {FASTEST} samples per second, 16000 for instance"
        raise SpeechError(
            f"{name} has {rate!r} samples per second, which is no rate of a recording; {wanted}"
        )
    return int(rate)


def _placed(path: Path, begin: Fraction, repairs: _Repairs) -> Iterator[av.AudioFrame]:
    """The frames of a file, each where its timestamp says: silence fills holes, what overlaps is cut away."""
    with open_media(path) as container:
        clock, written = clock_of(path, begin), Fraction(0)
        for frame, at in _stamped(container):
            late = clock.place(at, Fraction(frame.samples, frame.sample_rate)) - written
            samples = round(late * frame.sample_rate) if abs(late) > UNHEARD or not written else 0
            if samples > 0:
                yield from _silence(frame, samples)
                repairs.holes += late if written else 0
                repairs.lead += 0 if written else late
            if -samples < frame.samples:
                frame.pts = None
                yield clean(without_start(frame, -samples) if samples < 0 else frame)
                written += Fraction(samples + frame.samples, frame.sample_rate)


def _stamped(container: "av.container.InputContainer") -> Iterator[tuple[av.AudioFrame, Fraction | None]]:
    """The frames of a file and their times, guesses left out: where the rate changes midway, FFmpeg goes on
    counting by the first one until the file gives a time again."""
    first, last = 0, None
    for frame in decoded(container, sound_stream(container)):
        assert isinstance(frame, av.AudioFrame)
        if not frame.samples or not frame.sample_rate:
            continue
        at, first = stamp(frame), first or frame.sample_rate
        guess = None if last is None else last + Fraction(frame.samples, first)
        guessed = at is not None and guess is not None and abs(at - guess) < _ROUNDED
        yield frame, None if guessed and frame.sample_rate != first else at
        last = at


def _silence(frame: av.AudioFrame, samples: int) -> Iterator[av.AudioFrame]:
    """So many samples of silence, a second at a time."""
    for start in range(0, samples, frame.sample_rate):
        yield silence_like(frame, min(frame.sample_rate, samples - start))


def _blocks(wave: Wave, rate: int) -> Iterator[av.AudioFrame]:
    return (make_frame(wave[:, start : start + rate], rate) for start in range(0, wave.shape[1], rate))


def _spool(frames: Iterable[av.AudioFrame]) -> Mono:
    """16 kHz mono 16-bit samples in an unnamed temporary file, seen as one array."""
    resampler = Resampler("s16", "mono", RATE)
    with tempfile.TemporaryFile() as file:
        for frame in frames:
            for piece in resampler.resample(frame):
                file.write(piece.to_ndarray().tobytes())
        for piece in resampler.resample(None):
            file.write(piece.to_ndarray().tobytes())
        count = file.tell() // 2
        file.flush()
        return np.memmap(file, dtype=np.int16, mode="r", shape=(count,)) if count else np.empty(0, np.int16)


def _parts(mono: Mono) -> Iterator[Mono]:
    """Ten minutes at a time."""
    step = 10 * 60 * RATE
    return (mono[start : start + step] for start in range(0, len(mono), step))


def _power(mono: Mono) -> float:
    """Mean power of the samples as −1…1."""
    sums = np.zeros((2, 1))
    for part in _parts(mono):
        wide = part.astype(np.float64) / 32768
        sums += [[wide.sum()], [np.square(wide).sum()]]
    return float(power(len(mono), sums)[0])


def _peak(mono: Mono) -> float:
    """The largest amplitude as −1…1, around the samples' mean: a constant is no sound."""
    mean = sum(float(part.sum(dtype=np.float64)) for part in _parts(mono)) / max(1, len(mono))
    return max((float(np.abs(part - mean).max()) for part in _parts(mono)), default=0.0) / 32768


def _check_length(name: str, mono: Mono) -> None:
    if len(mono) == 0:
        raise SpeechError(f"{name} holds no sound (0 s); give a recording of at least {SHORTEST} s")
    if len(mono) < SHORTEST * RATE:
        raise SpeechError(
            f"{name} lasts only {len(mono) / RATE:.2f} s; give a recording of at least {SHORTEST} s"
        )
