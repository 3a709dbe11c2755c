"""Videos whose frames can be replaced in part, every other frame staying the same bytes; and played while
they grow.

H.264 in runs of ``RUN`` frames: each begins with a key frame and looks only backwards, so a run can be cut
short, and a new one put in, without touching what was encoded before. That costs about twice the bytes of a
video with long runs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.audio
import av.video
import numpy as np

from echomimic.errors import OutputError
from echomimic.media.audio import Speech
from echomimic.media.image import Picture
from echomimic.media.output import placed
from echomimic.media.video import (
    MP4_OPTIONS,
    VIDEO_OPTIONS,
    Converter,
    Shape,
    VideoWriter,
    add_pictures,
    frame_rate,
)

RUN = 12
"""Frames between two key frames: an edit draws at most so many more than it changes;
shorter runs cost bytes."""
CODING = {**VIDEO_OPTIONS["libx264"], "g": str(RUN), "sc_threshold": "0", "bf": "0"}
_GROWING = {"movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof", "flush_packets": "1"}
Span = tuple[int, int]


class EditableWriter(VideoWriter):
    """Writes an ``.mp4`` that :func:`replace_frames` can change;
    meanwhile ``playing`` grows, fragment by fragment."""

    def __init__(self, path: Path, shape: Shape, sound: Speech | None, playing: Path) -> None:
        super().__init__(path, shape, sound, overwrite=True, ours=False)
        self.playing = playing

    def _open(self) -> av.container.OutputContainer:
        self.playing.unlink(missing_ok=True)
        return av.open(str(self.playing.absolute()), "w", format="mp4", container_options=_GROWING)

    def _coding(self, codec: str) -> dict[str, str]:
        return CODING

    def _abandon(self) -> None:
        try:
            super()._abandon()
        finally:
            self.playing.unlink(missing_ok=True)  # on a full disk it is what fills it

    def _finish(self) -> None:
        super()._finish()
        with av.open(str(self.playing.absolute())) as source:
            _write(self._part, source, _packets(source), self.shape)


@dataclass
class _Packet:
    """An encoded packet: which stream, when (in its time base), its bytes."""

    kind: str
    time: int
    lasts: int
    base: Fraction
    key: bool
    data: bytes

    @property
    def seconds(self) -> Fraction:
        return self.time * self.base


def widened(spans: Sequence[Span], keys: Sequence[int], frames: int) -> list[Span]:
    """``spans`` of frames as they have to be encoded anew: to the end of the run they end in.

    ``keys`` are the frames at which runs begin. A run that would be cut down to one frame is encoded anew
    too: two key frames in a row would need different numbers.
    """
    starts = np.array([*sorted(keys), frames])
    done: list[Span] = []
    for first, last in spans:
        begin = int(starts[starts <= first].max(initial=0))
        first = begin if first - begin <= 1 else first
        last = int(starts[starts >= last].min(initial=frames))
        if done and first <= done[-1][1]:
            first, last = done[-1][0], max(last, done[-1][1])
            done.pop()
        done.append((first, last))
    return done


def replace_frames(
    path: Path,
    shape: Shape,
    spans: Sequence[Span],
    draw: Callable[[range], Iterable[Picture]],
    seal: Callable[[Path], None] | None = None,
) -> list[Span]:
    """Puts new frames into ``path``: ``spans`` (first, last + 1), drawn by ``draw``; returns those that were
    drawn.

    Every other frame and the sound keep their encoded bytes. ``seal`` gets the new file before it takes its
    place.
    Raises :class:`OutputError` when ``path`` was not written by :class:`EditableWriter`, or not by this
    encoder.
    """
    with placed(path) as part, av.open(str(path.absolute())) as source:
        packets = list(_packets(source))
        video = [p for p in packets if p.kind == "video"]
        if len(video) != shape.frames:
            raise OutputError(f"{path} has {len(video)} frames, not {shape.frames}; render it as a whole")
        drawn = widened(spans, [i for i, p in enumerate(video) if p.key], len(video))
        for first, last in drawn:
            video[first:last] = _encoded(draw(range(first, last)), shape, source, video[first])
        sound = [p for p in packets if p.kind == "audio"]
        _write(part, source, sorted([*video, *sound], key=lambda p: p.seconds), shape)
        if seal:
            seal(part)
    return drawn


def _encoded(
    frames: Iterable[Picture], shape: Shape, like: av.container.InputContainer, first: _Packet
) -> list[_Packet]:
    """A run of new frames as packets that fit where ``first`` was."""
    memory = io.BytesIO()
    convert = Converter(frame_rate(shape.fps))
    with av.open(memory, "w", format="mp4") as container:
        stream = add_pictures(container, "libx264", shape, CODING)
        for number, frame in enumerate(frames):
            container.mux(stream.encode(convert(frame, number)))
        container.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory) as made:
        if made.streams.video[0].codec_context.extradata != like.streams.video[0].codec_context.extradata:
            raise OutputError("the encoder is another than the video was made with; render it as a whole")
        new = list(_packets(made))
    for packet in new:
        packet.time = round((packet.seconds + first.seconds) / first.base)
        packet.lasts, packet.base = round(packet.lasts * packet.base / first.base) or first.lasts, first.base
    return new


def _packets(container: av.container.InputContainer) -> Iterator[_Packet]:
    for packet in container.demux():
        if packet.size and packet.pts is not None and packet.time_base is not None:
            kind, data = packet.stream.type, bytes(packet)
            yield _Packet(kind, packet.pts, packet.duration or 0, packet.time_base, packet.is_keyframe, data)


def _write(path: Path, like: av.container.InputContainer, packets: Iterable[_Packet], shape: Shape) -> None:
    """A whole ``.mp4`` of packets, its streams as in ``like``."""
    with av.open(str(path.absolute()), "w", format="mp4", container_options=MP4_OPTIONS) as target:
        target.metadata.update(shape.tags)
        streams: dict[str, Any] = {stream.type: _copied(target, stream) for stream in like.streams}
        for one in packets:
            if one.kind == "video":  # of the last one of a growing file it is a guess
                one.lasts = round(1 / (frame_rate(shape.fps) * one.base))
            packet = av.Packet(one.data)
            packet.pts = packet.dts = one.time
            packet.duration, packet.time_base, packet.is_keyframe = one.lasts, one.base, one.key
            packet.stream = streams[one.kind]
            target.mux_one(packet)


def _copied(target: av.container.OutputContainer, stream: Any) -> Any:
    """A stream with the same parameters; PyAV renamed how."""
    if hasattr(target, "add_stream_from_template"):
        return target.add_stream_from_template(stream)
    add: Any = target.add_stream
    return add(template=stream)
