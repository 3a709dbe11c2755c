"""Video in and out: frames and sound as they come, exactly aligned, in flat memory."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, cast

import av
import av.audio
import av.video
import numpy as np
from PIL import Image

from echomimic.errors import DriverError, OutputError
from echomimic.media.audio import Resampler, Speech, open_media
from echomimic.media.files import check_readable
from echomimic.media.image import Picture

if TYPE_CHECKING:
    from typing_extensions import Self

BT709 = 1
CONTAINERS = {".mp4": ("libx264", "aac"), ".webm": ("libvpx-vp9", "libopus")}


@dataclass(frozen=True)
class Shape:
    """What a written video looks like: pixels, frames per second, number of frames, and its tags."""

    width: int
    height: int
    fps: float
    frames: int
    title: str = ""
    comment: str = ""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.fps


class Writer(Protocol):
    """Takes frames in order; a finished ``with`` block leaves the whole result, a broken one leaves nothing."""

    def add(self, frame: Picture) -> None: ...
    def __enter__(self) -> "Writer": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_output(path: Path, overwrite: bool) -> None:
    """Raises :class:`OutputError` now rather than after the rendering, when ``path`` could not be written."""
    if path.name.lower() in (*CONTAINERS, "-", "", ".."):
        raise OutputError(f"{str(path)!r} is not a name for a video; give one such as talk.mp4")
    with _disk_errors(path):
        _check_kind(path)
    check_file(path, overwrite)


def _check_kind(path: Path) -> None:
    if path.suffix and path.suffix.lower() not in CONTAINERS:
        names = ", ".join(CONTAINERS)
        raise OutputError(f"{path}: {path.suffix} is not written; name it {names}, or a folder for an image sequence")
    if not path.suffix and path.is_file():
        raise OutputError(f"{path} is a file without a suffix; name a video .mp4 or .webm, or a folder for images")
    if not path.suffix and path.is_dir() and not _is_sequence(path):
        raise OutputError(f"{path} is not an image sequence of this program; choose another folder")
    if path.suffix and path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a video file")


def check_file(path: Path, overwrite: bool) -> None:
    """Raises :class:`OutputError` when ``path`` exists (and is not to be replaced) or its folder takes no files."""
    with _disk_errors(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OutputError(f"{path} is a device, not a file; choose another name")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists; choose another name, or give --overwrite to replace it")
        if path.parent.exists() and not path.parent.is_dir():
            raise OutputError(f"{path.parent} is a file, not a folder; choose another folder")
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent} does not exist; make the folder first, or choose another")
        _try_writing(path.parent)


def _try_writing(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write in {folder} ({error.strerror}); choose another folder") from None


def _is_sequence(folder: Path) -> bool:
    return folder.is_dir() and all(re.fullmatch(r"\d{6}\.png|sound\.wav", p.name) for p in folder.iterdir())


def open_writer(path: Path, shape: Shape, sound: Speech | None, overwrite: bool = False) -> Writer:
    """A writer for ``path``: ``.mp4`` (H.264, AAC), ``.webm`` (VP9, Opus) or, without a suffix, a folder of PNGs."""
    if path.suffix:
        return VideoWriter(path, shape, sound, overwrite)
    return SequenceWriter(path, shape, sound, overwrite)


class _Atomic:
    """Writes under a temporary name beside ``path`` and renames when the block ends well."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.path, self._overwrite = path, overwrite
        self._part = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")

    def __enter__(self) -> "Self":
        try:
            with _disk_errors(self.path):
                self._start()
        except BaseException:
            self._clean()
            raise
        return self

    def _start(self) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _disk_errors(self.path):
                    self._finish()
                    self._rename()
                return
        finally:
            self._clean()

    def _clean(self) -> None:
        try:
            with contextlib.suppress(Exception):
                self._abandon()
        finally:
            _remove(self._part)

    def _rename(self) -> None:
        if self.path.exists():
            if not self._overwrite:
                raise OutputError(f"{self.path} appeared while rendering; it was left as it is")
            if self._part.is_dir():
                _remove(self.path)
        os.replace(self._part, self.path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputError(f"{path}: the disk is full; free some room or choose another folder") from None
        raise OutputError(f"{path} cannot be written ({error.strerror or error}); choose another path") from None


class VideoWriter(_Atomic):
    """Encodes frames and the sound that belongs to them side by side.

    The sound is cut or filled with silence to the frames' length only when the two differ by more than half a
    frame; otherwise every sample of it is kept.
    """

    def __init__(self, path: Path, shape: Shape, sound: Speech | None, overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self.shape, self._speech = shape, sound
        self._count = 0

    def _start(self) -> None:
        video_codec, audio_codec = CONTAINERS[self.path.suffix.lower()]
        fast = {"movflags": "+faststart"} if self.path.suffix.lower() == ".mp4" else {}
        name = str(self._part.absolute())  # a relative ``a:b.mp4`` would be taken for the protocol ``a``
        self._container = av.open(name, "w", container_options=fast)
        self._container.metadata.update({"title": self.shape.title, "comment": self.shape.comment})
        self._rate = Fraction(self.shape.fps).limit_denominator(1001)
        stream = self._container.add_stream(video_codec, rate=self._rate, options=_VIDEO_OPTIONS[video_codec])
        self._video = cast("av.VideoStream", stream)
        self._video.width, self._video.height, self._video.pix_fmt = self.shape.width, self.shape.height, "yuv420p"
        context = self._video.codec_context
        context.colorspace, context.color_primaries, context.color_trc = BT709, BT709, BT709
        self._video.time_base = context.time_base = 1 / self._rate
        self._track = SoundTrack(self._container, audio_codec, self._speech, self.shape) if self._speech else None

    def add(self, frame: Picture) -> None:
        """Encodes one (height, width, 3) uint8 RGB frame and the sound up to its end."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=BT709)
        picture.pts, picture.time_base = self._count, 1 / self._rate
        with _disk_errors(self.path):
            self._container.mux(self._video.encode(picture))
            self._count += 1
            if self._track:
                self._track.advance(float(self._count / self._rate))

    def _finish(self) -> None:
        self._container.mux(self._video.encode(None))
        if self._track:
            self._track.finish()
        self._container.close()

    def _abandon(self) -> None:
        self._container.close()


_VIDEO_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "17"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "crf": "24", "b": "0", "row-mt": "1"},
}


class SoundTrack:
    """The sound of a video that is being written: encoded just ahead of the frames."""

    def __init__(self, container: "av.container.OutputContainer", codec: str, speech: Speech, shape: Shape) -> None:
        kept = codec == "pcm_s16le" or (codec == "aac" and speech.rate in _KEPT_RATES)
        rate = speech.rate if kept else 48000
        self._layout = "mono" if speech.channels == 1 else "stereo"
        self._container = container
        self._stream = cast("av.AudioStream", container.add_stream(codec, rate=rate, layout=self._layout))
        self._stream.bit_rate = 96_000 if self._layout == "mono" else 160_000
        self._resampler = Resampler("fltp", self._layout, rate)
        self._frames = speech.sound()
        self._rate, self._sent = rate, 0
        differs = abs(speech.seconds - shape.seconds) > 0.5 / shape.fps + 1e-6
        self._limit = round(shape.seconds * rate) if differs else None
        self._ended = False

    def advance(self, seconds: float) -> None:
        """Encodes until ``seconds`` of sound went out, or the sound ends."""
        while not self._ended and self._sent < seconds * self._rate:
            frame = next(self._frames, None)
            self._encode(self._resampler.resample(frame))
            self._ended = frame is None

    def finish(self) -> None:
        """Encodes the rest and, where the video is longer, silence."""
        self.advance(float("inf") if self._limit is None else self._limit / self._rate)
        while self._limit is not None and self._sent < self._limit:
            self._encode([self._silence(min(self._rate, self._limit - self._sent))])
        self._container.mux(self._stream.encode(None))

    def _encode(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            if self._limit is not None and self._sent + frame.samples > self._limit:
                frame = self._cut(frame, self._limit - self._sent)
            if frame.samples == 0:
                return
            wave = frame.to_ndarray()
            if not np.isfinite(wave).all():
                frame = self._frame(np.nan_to_num(wave, posinf=0.0, neginf=0.0))
            frame.pts, frame.time_base = self._sent, Fraction(1, self._rate)
            self._sent += frame.samples
            self._container.mux(self._stream.encode(frame))

    def _cut(self, frame: av.AudioFrame, samples: int) -> av.AudioFrame:
        return self._frame(np.ascontiguousarray(frame.to_ndarray()[:, : max(0, samples)]))

    def _silence(self, samples: int) -> av.AudioFrame:
        return self._frame(np.zeros((1 if self._layout == "mono" else 2, samples), np.float32))

    def _frame(self, wave: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        return frame


_KEPT_RATES = (32000, 44100, 48000)
"""Rates that AAC keeps; others become 48 kHz, so that its fixed blocks stay shorter than half a frame."""


class SequenceWriter(_Atomic):
    """A folder of ``000001.png`` … and ``sound.wav``."""

    def __init__(self, path: Path, shape: Shape, sound: Speech | None, overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self.shape, self._speech = shape, sound
        self._count = 0

    def _start(self) -> None:
        self._part.mkdir()

    def add(self, frame: Picture) -> None:
        """Writes one (height, width, 3) uint8 RGB frame."""
        self._count += 1
        with _disk_errors(self.path):
            Image.fromarray(frame).save(self._part / f"{self._count:06d}.png", compress_level=1)

    def _finish(self) -> None:
        if not self._speech:
            return
        with av.open(str(self._part.absolute() / "sound.wav"), "w") as container:
            track = SoundTrack(container, "pcm_s16le", self._speech, self.shape)
            track.finish()

    def _abandon(self) -> None:
        pass


class VideoReader:
    """A video's frames at a constant rate, upright; ``fps``, ``frames`` (an estimate) and ``size`` describe it.

    Iterating gives (H, W, 3) uint8 RGB. Raises :class:`DriverError` when the file is not a video.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        check_readable(self.path, DriverError, "a video")
        with self._open() as container:
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate or stream.guessed_rate or 25)
            seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            self.frames = stream.frames or round(seconds * self.fps)
        first = next(iter(self), None)
        if first is None:
            raise DriverError(f"{path} holds no frames that can be decoded; convert it to H.264 mp4")
        self.size = (first.shape[1], first.shape[0])

    def _open(self) -> "av.container.InputContainer":
        try:
            container = open_media(self.path)
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DriverError(f"{self.path} is not a video this program reads ({reason}); convert it to mp4") from None
        if not container.streams.video:
            container.close()
            raise DriverError(f"{self.path} has no pictures in it; give a video")
        return container

    def __iter__(self) -> Iterator[Picture]:
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start, shown = None, 0
            for frame in _decoded(container):
                time = frame.time or 0.0
                start = time if start is None else start
                due = round((time - start) * self.fps) + 1
                if due > shown:
                    picture = _upright(frame)
                    for _ in range(min(due - shown, 250)):
                        yield picture
                    shown = due


def _decoded(container: "av.container.InputContainer") -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(video=0)
    except av.FFmpegError:
        return


def _upright(frame: av.VideoFrame) -> Picture:
    picture = cast(Picture, frame.to_ndarray(format="rgb24"))
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
