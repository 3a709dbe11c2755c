"""Media files opened by FFmpeg: only formats on a list, only from the file itself,
damaged packets left out."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import av
import av.audio
import av.container
import av.video

Frame: TypeAlias = av.AudioFrame | av.VideoFrame

# Demuxers that may open a file. None of them follows a reference into another file (as concat, hls, dash
# do).
_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,apng,asf,au,av1,avi,caf,dts,dv,eac3,flac,flv,gif,gsm,h264,hevc,ivf,m4v,"
    "matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "tak,truehd,tta,voc,w64,wav,wv,yuv4mpegpipe"
)

PROTOCOLS = "file"
"""Protocols that FFmpeg may use on the way."""

# Packets among which a picture is surely coded out of order where any is; codecs reach 16 pictures far.
_REORDERED = 40

MUCH_LATER = 1
"""Seconds after which a second stream surely begins later than the first; it is then not looked for."""

_DEFAULT, _ATTACHED_PICTURE = 0x1, 0x400
"""Marks of a stream, by FFmpeg's numbers."""

BT709, BT601 = 1, 5
"""Colour matrices, by FFmpeg's numbers."""

_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": PROTOCOLS}


def open_media(path: Path) -> "av.container.InputContainer":
    """The file opened by FFmpeg, whatever the encoding of its tags and whatever is in its name."""
    name = str(path.absolute())  # a relative ``a:b.wav`` would be taken for the protocol ``a``
    try:
        return av.open(name, container_options=dict(_OPTIONS))
    except UnicodeDecodeError:
        # PyAV before 19 stops at tags that are not UTF-8 unless told otherwise; from 19 on it has no such
        # option
        how: dict[str, Any] = {"container_options": dict(_OPTIONS), "metadata_errors": "ignore"}
        opened: av.container.InputContainer = av.open(name, **how)
        return opened


def picture_stream(container: "av.container.InputContainer") -> "av.VideoStream | None":
    """The stream of moving pictures that a player shows; a cover of a sound file is none."""
    moving = (stream for stream in container.streams.video if not _flagged(stream, _ATTACHED_PICTURE))
    return _played(moving)


def sound_stream(container: "av.container.InputContainer") -> "av.AudioStream | None":
    """The stream of sound that a player plays."""
    return _played(container.streams.audio)


Stream = TypeVar("Stream", bound=object)


def _played(streams: Iterable[Stream]) -> Stream | None:
    """The first stream that the file marks as its default, else the first."""
    return next(iter(sorted(streams, key=lambda stream: not _flagged(stream, _DEFAULT))), None)


def _flagged(stream: object, flag: int) -> bool:
    flags = getattr(stream, "disposition", 0)  # none before PyAV 14.2; from 18 on it is a number
    return bool(int(getattr(flags, "value", flags)) & flag)


def decoded(container: "av.container.InputContainer", stream: Any) -> Iterator[Frame]:
    """Every frame that can be decoded; damaged packets are left out."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        yield from _frames_of(packet)


def _frames_of(packet: Any) -> list[Frame]:
    try:
        return cast("list[Frame]", packet.decode())
    except av.FFmpegError:
        return []


def stamp(frame: Frame, lag: Fraction | None = None) -> Fraction | None:
    """The presentation time of a frame in the film's own seconds; ``lag`` is :func:`coding_lag`'s."""
    ticks = frame.pts if lag is None else frame.dts
    return None if ticks is None or frame.time_base is None else ticks * frame.time_base - (lag or 0)


def coding_lag(path: Path) -> Fraction | None:
    """Seconds by which pictures leave the decoder behind their coding times, where a film has only these.

    AVI numbers its pictures in the order in which they are coded; where that is not the order in which they
    are seen, what FFmpeg makes of it jumps about. None where the pictures have times of their own.
    """
    with open_media(path) as container:
        stream = picture_stream(container)
        if stream is None or not getattr(stream.codec_context, "has_b_frames", False):
            return None
        packets = [packet for packet in islice(container.demux(stream), _REORDERED) if packet.size]
        told = [packet.pts for packet in packets if packet.pts is not None]
        coded = [packet.dts for packet in packets if packet.dts is not None]
        if told != sorted(told) or not coded or stream.time_base is None:
            return None
        frames = [frame for packet in packets for frame in _frames_of(packet)]
        tick = stream.time_base  # from PyAV 19 on not to be asked of a closed file
    told = [frame.pts for frame in frames if frame.pts is not None]
    first = next((frame.dts for frame in frames if frame.dts is not None), None)
    return None if told == sorted(told) or first is None else (first - coded[0]) * tick


def film_begin(path: Path) -> Fraction:
    """When, in its own seconds, a film begins: the earlier of its first picture and its first sound."""
    lag = coding_lag(path)
    with open_media(path) as container:
        picture = _first(container, picture_stream(container), lag)
    with open_media(path) as container:
        stream = sound_stream(container)
        told = (
            stream.start_time * stream.time_base
            if stream and stream.start_time and stream.time_base
            else None
        )
        if picture is not None and told is not None and told > picture + MUCH_LATER:
            return picture
        sound = _first(container, stream)
    return min((time for time in (picture, sound) if time is not None), default=Fraction(0))


def _first(
    container: "av.container.InputContainer", stream: Any, lag: Fraction | None = None
) -> Fraction | None:
    if stream is None:
        return None
    first = next(iter(islice(decoded(container, stream), 1)), None)
    return None if first is None else stamp(first, lag)
