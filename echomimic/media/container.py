"""Media files opened by FFmpeg: only formats on a list, only from the file itself,
damaged packets left out."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import av.audio
import av.container
import av.video

Frame: TypeAlias = av.AudioFrame | av.VideoFrame

_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,apng,asf,au,av1,avi,caf,dts,dv,eac3,flac,flv,gif,gsm,h264,hevc,ivf,m4v,matroska,"
    "mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,tak,truehd,tta,voc,w64,wav,wv,yuv4mpegpipe"
)
"""Demuxers that may open a file. None of them follows a reference into another
file (as concat, hls, dash do)."""

PROTOCOLS = "file"
"""Protocols that FFmpeg may use on the way."""

MUCH_LATER = 1
"""Seconds after which a second stream surely begins later than the first; it is then not looked for."""

_ATTACHED_PICTURE = 0x400
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
        return av.open(name, container_options=dict(_OPTIONS), metadata_errors="ignore")  # type: ignore[call-overload, no-any-return, unused-ignore]


def picture_stream(container: "av.container.InputContainer") -> "av.VideoStream | None":
    """The first stream of moving pictures; a cover of a sound file is none."""
    return next((stream for stream in container.streams.video if not _is_cover(stream)), None)


def _is_cover(stream: object) -> bool:
    flags = getattr(stream, "disposition", 0)  # none before PyAV 14.2; from 18 on it is a number
    return bool(int(getattr(flags, "value", flags)) & _ATTACHED_PICTURE)


def sound_stream(container: "av.container.InputContainer") -> "av.AudioStream | None":
    """The first stream of sound."""
    return next(iter(container.streams.audio), None)


def decoded(container: "av.container.InputContainer", stream: Any) -> Iterator[Frame]:
    """Every frame that can be decoded; damaged packets are left out."""
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
        yield from cast("list[Frame]", frames)


def stamp(frame: Frame) -> Fraction | None:
    """The presentation time of a frame in the film's own seconds."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def film_begin(path: Path) -> Fraction:
    """When, in its own seconds, a film begins: the earlier of its first picture and its first sound."""
    with open_media(path) as container:
        picture = _first(container, picture_stream(container))
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


def _first(container: "av.container.InputContainer", stream: Any) -> Fraction | None:
    if stream is None:
        return None
    first = next(iter(islice(decoded(container, stream), 1)), None)
    return None if first is None else stamp(first)
