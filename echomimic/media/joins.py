"""Recordings joined end to end in one file (``cat a.ts b.ts``): where each begins,
for picture and sound alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from echomimic.media.clock import Clock, follows
from echomimic.media.container import open_media, picture_stream, sound_stream


@dataclass
class _Piece:
    """A part of one stream in its own seconds, without a jump;
    ``coded`` is the latest time at which it is coded."""

    begin: Fraction
    end: Fraction
    coded: Fraction


def clock_of(path: Path, begin: Fraction) -> Clock:
    """The clock of each stream of a film that begins at ``begin``."""
    return Clock(begin, partial(joins, path))


def joins(path: Path) -> tuple[Fraction, ...]:
    """Seconds to add to the stamps of every recording that is joined on, so that it begins where picture and
    sound of the one before have both ended. None where the streams jump a different number of times."""
    with open_media(path) as container:
        chosen = [stream for stream in (picture_stream(container), sound_stream(container)) if stream]
        pieces: dict[int, list[_Piece]] = {stream.index: [] for stream in chosen}
        packets = container.demux(*chosen)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                break
            _add(pieces[packet.stream_index], packet)
    recordings = list(zip(*pieces.values(), strict=False))
    if any(len(row) != len(recordings) for row in pieces.values()):
        return ()
    shift, shifts = Fraction(0), []
    for before, after in pairwise(recordings):
        shift += max(piece.end for piece in before) - min(piece.begin for piece in after)
        shifts.append(shift)
    return tuple(shifts)


def stamps_of(packets: Iterable[Any]) -> list[float]:
    """Seconds at which the packets of one stream appear, each recording after the one before."""
    pieces: list[_Piece] = []
    shift, stamps = Fraction(0), []
    for packet in packets:
        count, moment = len(pieces), _add(pieces, packet)
        if moment is None:
            continue
        if len(pieces) > max(1, count):
            shift += pieces[-2].end - pieces[-1].begin
        stamps.append(float(moment + shift))
    return stamps


def _add(pieces: list[_Piece], packet: Any) -> Fraction | None:
    """Adds a packet to the piece that it belongs to, and gives its own time; None where it has none.

    One that tells no length lasts as long as the one before it.
    """
    ticks = packet.dts if packet.pts is None else packet.pts
    if ticks is None or packet.time_base is None or not packet.size:
        return None
    moment: Fraction = ticks * packet.time_base
    ahead = packet.pts if packet.dts is None else packet.dts  # pictures may be seen out of order
    coded: Fraction = ahead * packet.time_base
    follows_on = bool(pieces) and follows(coded, pieces[-1].coded)
    step = coded - pieces[-1].coded if follows_on else Fraction(0)
    end = moment + ((packet.duration or 0) * packet.time_base or max(step, Fraction(0)))
    if not follows_on:
        pieces.append(_Piece(moment, end, coded))
    last = pieces[-1]
    last.begin, last.end, last.coded = min(last.begin, moment), max(last.end, end), max(last.coded, coded)
    return moment
