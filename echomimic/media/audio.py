"""Sound in: any container and rate becomes mono 16 kHz samples, kept on disk so that memory stays flat for hours."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import av.audio
import numpy as np
import numpy.typing as npt

from echomimic.errors import ResourceError, SpeechError
from echomimic.media.files import check_readable

RATE = 16000
"""Samples per second that every engine listens to."""

SHORTEST = 0.2
"""Seconds of the shortest speech that makes a video."""

SILENCE = 10 ** (-55 / 20)
"""Peak amplitude below which a recording counts as silent (−55 dBFS)."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Speech:
    """A recording: mono 16 kHz to listen to (:meth:`read`), and the original to be heard (:meth:`sound`).

    ``rate`` and ``channels`` describe the original, ``peak`` (0…1) is the largest amplitude of the mono mix.
    """

    name: str
    rate: int
    channels: int
    samples: int
    peak: float
    _mono: npt.NDArray[np.int16]
    _source: "Path | npt.NDArray[np.float32]" = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> "Speech":
        """Decodes a sound file, or the sound of a video, once. Raises :class:`SpeechError`."""
        path = Path(path)
        check_readable(path, SpeechError, "a sound file (wav, mp3, m4a, flac, ogg, …)")
        if not path.is_file():
            raise SpeechError(f"{path} is a pipe or a device, but the sound is read twice; save it to a file first")
        with _container(path) as container:
            stream = _sound_stream(container, path)
            rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
            try:
                mono = _spool(_decode(container, stream))
            except av.FFmpegError as error:
                reason = f"{channels} channels at {rate} Hz: {error.strerror}"
                raise SpeechError(f"{path} cannot be converted ({reason}); save it as a stereo WAV") from None
            except OSError as error:
                place = f"{path} cannot be decoded into {tempfile.gettempdir()}"
                raise ResourceError(f"{place} ({error.strerror}); free some room there, or set TMPDIR") from None
        return cls._checked(str(path), rate or RATE, channels or 1, mono, path)

    @classmethod
    def from_array(cls, waveform: npt.NDArray[Any], rate: int, name: str = "the speech") -> "Speech":
        """From samples in −1…1, shape (T,) or (channels, T), at ``rate`` Hz. Raises :class:`SpeechError`."""
        wave = np.atleast_2d(np.asarray(waveform, dtype=np.float32))
        if wave.ndim != 2 or wave.shape[1] == 0:
            raise SpeechError(f"{name} is empty; give a recording of at least {SHORTEST} s")
        wave = np.clip(np.nan_to_num(wave), -1.0, 1.0)
        if wave.shape[0] > 2:
            wave = wave.mean(0, keepdims=True)
        mono = _spool(_frames_of(wave, rate))
        return cls._checked(name, rate, wave.shape[0], mono, wave)

    @classmethod
    def _checked(
        cls, name: str, rate: int, channels: int, mono: npt.NDArray[np.int16], source: "Path | npt.NDArray[np.float32]"
    ) -> "Speech":
        if len(mono) == 0:
            raise SpeechError(f"{name} holds no sound (0 s); give a recording of at least {SHORTEST} s")
        if len(mono) < SHORTEST * RATE:
            raise SpeechError(f"{name} lasts only {len(mono) / RATE:.2f} s; give a recording of at least {SHORTEST} s")
        step = 10 * 60 * RATE
        peak = max(int(np.abs(mono[i : i + step].astype(np.int32)).max()) for i in range(0, len(mono), step)) / 32768
        return cls(name, rate, channels, len(mono), peak, mono, source)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / RATE

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard in it."""
        return self.peak < SILENCE

    def read(self, start: int, stop: int) -> Samples:
        """Samples ``start`` to ``stop`` of the mono 16 kHz signal, (stop − start,) float32 in −1…1; zeros outside."""
        out = np.zeros(max(0, stop - start), dtype=np.float32)
        first, last = max(0, start), min(self.samples, stop)
        if last > first:
            out[first - start : last - start] = self._mono[first:last].astype(np.float32) / 32768.0
        return out

    def sound(self) -> Iterator[av.AudioFrame]:
        """The original sound, frame by frame, for the encoder."""
        if isinstance(self._source, np.ndarray):
            yield from _frames_of(self._source, self.rate)
            return
        with _container(self._source) as container:
            yield from _decode(container, _sound_stream(container, self._source))


def open_media(path: Path) -> "av.container.InputContainer":
    """The file opened by FFmpeg, whatever the encoding of its tags and whatever is in its name."""
    name = str(path.absolute())  # a relative ``a:b.wav`` would be taken for the protocol ``a``
    try:
        return av.open(name)
    except UnicodeDecodeError:
        # PyAV before 19 stops at tags that are not UTF-8 unless told otherwise; from 19 on it has no such option
        return av.open(name, metadata_errors="ignore")  # type: ignore[call-overload, no-any-return, unused-ignore]


def _container(path: Path) -> "av.container.InputContainer":
    try:
        return open_media(path)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpeechError(f"{path} is not a sound file this program reads ({reason}); save it as WAV or MP3") from None


def _sound_stream(container: "av.container.InputContainer", path: Path) -> "av.audio.AudioStream":
    if not container.streams.audio:
        raise SpeechError(f"{path} has no sound track; give a recording, or a video with sound")
    return container.streams.audio[0]


def _decode(container: "av.container.InputContainer", stream: "av.audio.AudioStream") -> Iterator[av.AudioFrame]:
    """Every frame that can be decoded; damaged packets are skipped, as players do."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            frame.pts = None
            yield frame


class Resampler:
    """An ``av.AudioResampler`` for sound whose rate or channels may change midway, as in joined mp3 files."""

    def __init__(self, format: str, layout: str, rate: int) -> None:
        self._to = (format, layout, rate)
        self._from: tuple[str, str, int] | None = None
        self._inner = av.AudioResampler(*self._to)

    def resample(self, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
        """What is ready after ``frame``; None asks for the rest."""
        done: list[av.AudioFrame] = []
        if frame is not None:
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if self._from not in (None, kind):
                done = self._inner.resample(None)
                self._inner = av.AudioResampler(*self._to)
            self._from = kind
        return done + self._inner.resample(frame)


def _frames_of(wave: npt.NDArray[np.float32], rate: int) -> Iterator[av.AudioFrame]:
    layout = "mono" if wave.shape[0] == 1 else "stereo"
    for start in range(0, wave.shape[1], rate):
        block = np.ascontiguousarray(wave[:, start : start + rate])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate = rate
        yield frame


def _spool(frames: Iterator[av.AudioFrame]) -> npt.NDArray[np.int16]:
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
