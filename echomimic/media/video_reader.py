"""Video in: every frame upright and with square pixels, at a constant rate,
where the film's own time puts it."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import av.video
import numpy as np

from echomimic.errors import DriverError
from echomimic.media.clock import LONGEST_HOLE, Slots, base_rate
from echomimic.media.container import (
    BT601,
    BT709,
    coding_lag,
    decoded,
    film_begin,
    open_media,
    picture_stream,
    stamp,
)
from echomimic.media.files import check_readable
from echomimic.media.image import Picture
from echomimic.media.joins import clock_of, stamps_of

# Packets whose timestamps tell the frame rate: three minutes at 25 fps.
_LOOKED_AT = 5000

# Seconds by which a moment may be rounded down and still mean the frame that begins there.
_EARLY = Fraction(1, 1000)

# Ratio of a pixel's sides beyond which the file is not believed.
_WIDEST = 8

# Pixels a side beyond which no frame is decoded.
_LARGEST = 8192


class VideoReader:
    """A video's frames at a constant rate, upright; ``fps``, ``frames`` (an estimate) and ``size`` describe
    it.

    Iterating gives (H, W, 3) uint8 RGB from the film's beginning on: where its picture comes later than its
    sound, the first frame stands until then. Every frame is shown from its own time until the next one's.
    ``notes`` are remarks for the user. Raises :class:`DriverError` when the file is not a video.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        check_readable(self.path, DriverError, "a video")
        with self._open() as container:
            stream = self._stream(container)
            self.fps, stamps = _rate(container, stream)
            seconds = (
                float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            )
            if len(stamps) < _LOOKED_AT and stamps:
                seconds = max(seconds, max(stamps) - min(stamps) + 1 / self.fps)
            self.frames = max(1, stream.frames if not seconds else round(seconds * self.fps))
            self._pixel = _pixel(stream)
        self._begin, self._lag = film_begin(self.path), coding_lag(self.path)
        self.notes = self._remarks()
        self.size = (0, 0)
        first = next(iter(self), None)
        if first is None:
            raise DriverError(f"{self.path} holds no frames that can be decoded; convert it to H.264 mp4")
        self.size = (first.shape[1], first.shape[0])

    def _remarks(self) -> tuple[str, ...]:
        if self._pixel == 1:
            return ()
        return (
            f"{self.path} has pixels {self._pixel.numerator}:{self._pixel.denominator} wide; made square",
        )

    def _open(self) -> "av.container.InputContainer":
        try:
            return open_media(self.path)
        except (av.FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DriverError(
                f"{self.path} is not a video this program reads ({reason}); convert it to mp4"
            ) from None

    def _stream(self, container: "av.container.InputContainer") -> "av.VideoStream":
        stream = picture_stream(container)
        if stream is None:
            raise DriverError(f"{self.path} has no pictures in it; give a video")
        context = stream.codec_context
        if context is None:
            raise DriverError(
                f"{self.path} is coded in a way that this program does not know; convert it to mp4"
            )
        if max(context.width, context.height) > _LARGEST:
            size = f"{context.width}x{context.height}"
            raise DriverError(f"{self.path} is {size}; scale it down to at most {_LARGEST} pixels a side")
        return stream

    def __iter__(self) -> Iterator[Picture]:
        """The frames of every slot, see :mod:`echomimic.media.clock`."""
        slots, shown, last, end = Slots(self.fps), 0, None, Fraction(0)
        for picture, at, until in self._placed():
            end = until
            due = slots.begin(at)
            for _ in range(due - shown):
                yield picture if last is None else last
            shown, last = max(shown, due), picture
        if last is not None:
            for _ in range(max(1, slots.begin(end) - shown)):
                yield last

    def at(self, moments: Sequence[float]) -> Iterator[Picture | None]:
        """The picture shown at each moment (seconds, as when iterating); None where there is none.

        Jumps to the key frame before each moment, so a few pictures of a long video cost little.
        """
        with self._open() as container:
            stream = self._stream(container)
            for moment in moments:
                yield self._seek(container, stream, Fraction(moment) + self._begin)

    def _seek(
        self, container: "av.container.InputContainer", stream: "av.VideoStream", moment: Fraction
    ) -> Picture | None:
        shown = None
        try:
            container.seek(max(0, int(moment / (stream.time_base or 1))), stream=stream, backward=True)
        except av.FFmpegError:
            return None
        for frame in decoded(container, stream):
            if shown is not None and (stamp(frame, self._lag) or 0) > moment + _EARLY:
                break
            shown = cast(av.VideoFrame, frame)
        return None if shown is None else self._upright(shown)

    def _placed(self) -> Iterator[tuple[Picture, Fraction, Fraction]]:
        """Every picture, when it appears, and when the film's picture ends as far as is known by then."""
        with self._open() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            clock, each = clock_of(self.path, self._begin), 1 / Fraction(self.fps)
            end = self._end(container, stream)
            for frame in decoded(container, stream):
                at = clock.place(stamp(frame, self._lag), each)
                yield (
                    self._upright(cast(av.VideoFrame, frame)),
                    at,
                    max(clock.now, min(end, at + LONGEST_HOLE)),
                )

    def _end(self, container: "av.container.InputContainer", stream: "av.VideoStream") -> Fraction:
        """When the file says that its picture ends, 0 where it does not: packets do not tell how long a last
        one stays.

        (The durations in an mp4 are those between decoding times; where frames are reordered they are
        others.)
        """
        if stream.duration and stream.time_base:
            return ((stream.start_time or 0) + stream.duration) * stream.time_base - self._begin
        if len(container.streams) == 1 and container.duration:
            return Fraction((container.start_time or 0) + container.duration, av.time_base) - self._begin
        return Fraction(0)

    def _upright(self, frame: av.VideoFrame) -> Picture:
        size: dict[str, Any] = {}
        if self._pixel > 1:
            size = {"width": round(frame.width * self._pixel)}
        elif self._pixel < 1:
            size = {"height": round(frame.height / self._pixel)}
        picture = _turned(_as_rgb(frame, size), frame)
        width, height = self.size
        if width and picture.shape[:2] != (height, width):  # the film changes its size midway
            return _fitted(picture, width, height)
        return np.ascontiguousarray(picture)


def _rate(container: "av.container.InputContainer", stream: "av.VideoStream") -> tuple[float, list[float]]:
    """The frame rate, and the timestamps that it was found in."""
    declared = [float(rate) for rate in (stream.average_rate, stream.base_rate, stream.guessed_rate) if rate]
    try:
        packets = list(islice(container.demux(stream), _LOOKED_AT))
    except av.FFmpegError:
        packets = []
    known = stamps_of(packets)
    return base_rate(known, declared), known


def _pixel(stream: "av.VideoStream") -> Fraction:
    """Width of a pixel over its height."""
    told = Fraction(stream.sample_aspect_ratio or 1)
    return told if told and 1 / Fraction(_WIDEST) <= told <= _WIDEST else Fraction(1)


def _as_rgb(frame: av.VideoFrame, size: dict[str, Any]) -> Picture:
    """(H, W, 3) by the matrix the film names. PyAV before 17 takes BT.709 for BT.601 unless told both."""
    matrix = {"src_colorspace": BT709, "dst_colorspace": BT601} if frame.colorspace == BT709 else {}
    if size or matrix:
        frame = frame.reformat(**size, format="rgb24", **matrix)
    return cast(Picture, frame.to_ndarray(format="rgb24"))


def _fitted(picture: Picture, width: int, height: int) -> Picture:
    """The picture as large as fits into width × height, in its own proportions, with black around it."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    across, down = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    whole = np.zeros((height, width, 3), np.uint8)
    left, top = (width - across) // 2, (height - down) // 2
    inner = frame.reformat(width=across, height=down).to_ndarray(format="rgb24")
    whole[top : top + down, left : left + across] = inner
    return whole


def _turned(picture: Picture, frame: av.VideoFrame) -> Picture:
    """The picture as the file's display matrix wants it shown: turned by quarters, mirrored."""
    matrix = _matrix(frame)
    if matrix is None:
        turns = round(getattr(frame, "rotation", 0) / 90) % 4
        return np.rot90(picture, turns) if turns else picture
    (a, b), (c, d) = matrix
    if abs(b) > abs(a):
        picture, a, d = np.swapaxes(picture, 0, 1), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _matrix(frame: av.VideoFrame) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The part of the display matrix that turns and mirrors: (x, y) of a pixel becomes (ax + cy, bx + dy)."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return ((a, b), (c, d)) if a or b else None
