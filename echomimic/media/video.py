"""Video in and out: frames and sound as they come, exactly aligned, in flat memory."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, cast

import av
import av.audio
import av.video
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from echomimic.errors import OutputError
from echomimic.media.audio import Speech
from echomimic.media.container import BT709
from echomimic.media.image import Picture
from echomimic.media.output import check_file, claimed, disk_errors, part_of, put_in_place, real_path, remove
from echomimic.media.sound_track import SoundTrack
from echomimic.media.video_reader import VideoReader as VideoReader

if TYPE_CHECKING:
    from typing_extensions import Self

LIMITED = 1
"""FFmpeg's number of the range that is written: 16 to 235."""

# Names of the files in an image sequence.
_OURS = r"\d{6}\.png|sound\.wav|sums\.sha256(\.c2pa)?"

MP4_OPTIONS = {"movflags": "+faststart+use_metadata_tags"}
"""Plays before it is whole; keeps tags of any name (``AIGC``), which the muxer drops otherwise."""

CONTAINERS = {".mp4": ("libx264", "aac"), ".webm": ("libvpx-vp9", "libopus")}


@dataclass(frozen=True)
class Shape:
    """What a written video looks like: pixels, frames per second, number of frames, and its tags."""

    width: int
    height: int
    fps: float
    frames: int
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.fps


class Writer(Protocol):
    """Takes frames in order; a finished ``with`` block leaves the whole result,
    a broken one leaves nothing."""

    def add(self, frame: Picture) -> None: ...
    def __enter__(self) -> "Writer": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_output(path: Path, overwrite: bool, inputs: Iterable[Path | str | None] = ()) -> None:
    """Raises :class:`OutputError` now rather than after the rendering,
    when ``path`` must not or cannot be written."""
    if path.name.lower() in (*CONTAINERS, "-", "", ".."):
        raise OutputError(f"{str(path)!r} is not a name for a video; give one such as talk.mp4")
    with disk_errors(path):
        if "\0" not in str(path):
            _check_kind(path)
    check_file(path, overwrite, inputs, folder=not path.suffix)


def _check_kind(path: Path) -> None:
    if path.suffix and path.suffix.lower() not in CONTAINERS:
        names = ", ".join(CONTAINERS)
        raise OutputError(
            f"{path}: {path.suffix} is not written; name it {names}, or a folder for an image sequence"
        )
    if not path.suffix and path.is_file():
        raise OutputError(
            f"{path} is a file without a suffix; name a video .mp4 or .webm, or a folder for images"
        )
    if not path.suffix and path.is_dir() and not _is_sequence(path):
        raise OutputError(f"{path} is not an image sequence of this program; choose another folder")
    if path.suffix and path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a video file")


def _is_sequence(folder: Path) -> bool:
    return folder.is_dir() and all(re.fullmatch(_OURS, p.name) for p in folder.iterdir())


def open_writer(
    path: Path,
    shape: Shape,
    sound: Speech | None,
    overwrite: bool = False,
    *,
    ours: bool = False,
    seal: Callable[[Path], None] | None = None,
) -> Writer:
    """A writer for ``path``: ``.mp4`` (H.264, AAC), ``.webm`` (VP9, Opus) or, without a suffix, a folder of
    PNGs.

    ``ours``: the caller has claimed ``path`` already (see :func:`echomimic.media.output.claim`). ``seal``
    gets the finished temporary file before it is renamed; when it raises, nothing is left.
    """
    kind = VideoWriter if path.suffix else SequenceWriter
    writer = kind(path, shape, sound, overwrite, ours)
    writer.seal = seal
    return writer


class _Atomic:
    """Writes under a temporary name beside ``path`` and renames when the block ends well."""

    seal: Callable[[Path], None] | None = None

    def __init__(self, path: Path, shape: Shape, sound: Speech | None, overwrite: bool, ours: bool) -> None:
        self.path, self.shape, self._speech, self._overwrite = real_path(path), shape, sound, overwrite
        self._part, self._count = part_of(self.path), 0
        self._claim = contextlib.nullcontext() if ours else claimed(self.path)

    def __enter__(self) -> "Self":
        self._claim.__enter__()
        try:
            with disk_errors(self.path):
                self._start()
        except BaseException:
            self._give_up()
            raise
        return self

    def _start(self) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        """Frees what is open after a failure."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._give_up()
            return
        try:
            with disk_errors(self.path):
                self._finish()
                self._refuse_a_newcomer()  # before a signature is laid beside somebody else's file
                if self.seal:
                    self.seal(self._part)
                self._refuse_a_newcomer()
                put_in_place(self._part, self.path)
        except BaseException:
            self._give_up()
            raise
        self._claim.__exit__(None, None, None)

    def _give_up(self) -> None:
        try:
            with contextlib.suppress(Exception):
                self._abandon()
        finally:
            remove(self._part)
            self._claim.__exit__(None, None, None)

    def _refuse_a_newcomer(self) -> None:
        if os.path.lexists(self.path) and not self._overwrite:
            raise OutputError(
                f"{self.path} appeared while rendering and was left as it is; run again with another name"
            )


class VideoWriter(_Atomic):
    """Encodes frames and the sound that belongs to them side by side.

    The sound is cut or filled with silence to the frames' length only when the two differ by more than half a
    frame; otherwise every sample of it is kept.
    """

    def _start(self) -> None:
        video_codec, audio_codec = CONTAINERS[self.path.suffix.lower()]
        self._container = self._open()
        self._container.metadata.update(self.shape.tags)
        self._rate = frame_rate(self.shape.fps)
        self._convert = Converter(self._rate)
        self._video = add_pictures(self._container, video_codec, self.shape, self._coding(video_codec))
        self._track = self._sound(audio_codec)

    def _open(self) -> "av.container.OutputContainer":
        fast = MP4_OPTIONS if self.path.suffix.lower() == ".mp4" else {}
        # a relative ``a:b.mp4`` would be taken for the protocol ``a``
        return av.open(str(self._part.absolute()), "w", container_options=fast)

    def _coding(self, codec: str) -> dict[str, str]:
        return VIDEO_OPTIONS[codec]

    def _sound(self, codec: str) -> SoundTrack | None:
        if self._speech is None:
            return None
        return SoundTrack(self._container, codec, self._speech, self.shape.seconds, 1 / self.shape.fps)

    def add(self, frame: Picture) -> None:
        """Encodes one (height, width, 3) uint8 RGB frame and the sound up to its end."""
        with disk_errors(self.path):
            self._container.mux(self._video.encode(self._convert(frame, self._count)))
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


def add_pictures(
    container: "av.container.OutputContainer", codec: str, shape: Shape, options: dict[str, str]
) -> "av.VideoStream":
    """A stream of ``shape`` in BT.709 colours, 4:2:0."""
    rate = frame_rate(shape.fps)
    stream = cast("av.VideoStream", container.add_stream(codec, rate=rate, options=options))
    stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
    context = stream.codec_context
    context.colorspace, context.color_primaries, context.color_trc = BT709, BT709, BT709
    context.color_range = LIMITED
    stream.time_base = context.time_base = 1 / rate
    return stream


class Converter:
    """Turns pictures into frames of ``rate`` as the encoder takes them.

    One serves a whole stream: setting a conversion up takes longer than converting.
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate, self._reformatter = rate, VideoReformatter()

    def __call__(self, frame: Picture, number: int) -> av.VideoFrame:
        """(height, width, 3) uint8 RGB as the frame of that number."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = self._reformatter.reformat(picture, format="yuv420p", dst_colorspace=BT709)
        picture.pts, picture.time_base = number, 1 / self._rate
        return picture


def frame_rate(fps: float) -> Fraction:
    """``fps`` as players and editors write it: 29.97 is 30000/1001."""
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    return ntsc if abs(float(ntsc) - fps) < _ALIKE * fps else Fraction(fps).limit_denominator(1001)


# Relative difference of 29.97 from 30000/1001 and the like; whole numbers are a thousand times as far.
_ALIKE = 1e-5

VIDEO_OPTIONS = {
    # x264's macroblock tree gives two results by chance for the same frames (seen at 192 pixels width, with
    # one thread too); without it crf 19 has the PSNR that 17 had with it, for 13 % more bytes, and equal
    # frames give equal files. As many threads as it takes by itself on two cores: their number changes the
    # file, and a batch must not depend on which machine rendered a row
    "libx264": {"preset": "veryfast", "crf": "19", "x264-params": "mbtree=0:threads=2"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "crf": "24", "b": "0", "row-mt": "1"},
}


class SequenceWriter(_Atomic):
    """A folder of ``000001.png`` … and ``sound.wav``."""

    def _start(self) -> None:
        self._part.mkdir()
        self._texts = PngInfo()
        for tag, text in self.shape.tags.items():
            self._texts.add_itxt(tag, text)

    def add(self, frame: Picture) -> None:
        """Writes one (height, width, 3) uint8 RGB frame."""
        self._count += 1
        with disk_errors(self.path):
            name = self._part / f"{self._count:06d}.png"
            Image.fromarray(frame).save(name, compress_level=1, pnginfo=self._texts)

    def _finish(self) -> None:
        if not self._speech:
            return
        with av.open(str(self._part.absolute() / "sound.wav"), "w") as container:
            track = SoundTrack(container, "pcm_s16le", self._speech, self.shape.seconds, 1 / self.shape.fps)
            track.finish()
