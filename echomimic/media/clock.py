"""Time in media files: where every frame and every sample of a film lies, counted from the film's beginning.

Nothing else in the package counts time from a file. A film begins where the earlier of its picture and its
sound does; both readers measure from there, so what is late stays late by as much. What a timestamp says is
believed unless it jumps back or leaves a hole of minutes, as in joined or damaged files: then the recording
that is joined on begins where picture and sound have both ended, or else the stream just goes on.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

LONGEST_HOLE = 600
"""Seconds: a longer silence or hold is a broken clock, not something that was recorded."""

JUMP_BACK = Fraction(1, 5)
"""Seconds by which a stream may overlap itself before it counts as another recording joined on."""

UNHEARD = Fraction(1, 50)
"""Seconds (20 ms, a frame at 50 fps) up to which sound stays where it falls:
containers round their timestamps."""

NO_LEAD = 0.65
"""Part of a frame below which a picture that starts late is on time:
an AAC encoder's priming alone is 21 ms."""

_SLOWEST, _FASTEST, USUAL = 1.0, 240.0, 25.0
"""Frame rates (per second) between which a video is read, and the one of a video that tells none."""

# Part of the gaps that may be shorter than the base rate's, e.g. two frames stamped alike by a recorder.
_QUICK_SHARE = 0.1

# Gaps between these multiples of the base gap are the base gap with jitter.
_ALIKE = (0.9, 1.15)

# Relative error of a rate that is measured in timestamps of whole milliseconds (4 ms at 240 fps).
_ROUNDED = 0.06

# Part of the frames that must find a slot of their own at a rate that a file declares; jitter may cost a
# few.
_KEPT = 0.97


# Part of a slot by which a half may be computed short and still is a half.
_TIE = 1e-6


@dataclass
class Clock:
    """Turns the timestamps of one stream into seconds since the film's beginning (``zero``, the film's own
    time).

    ``now`` is where the pieces seen so far end. ``joins`` gives what is added to the stamps of each recording
    that is joined on; it is asked at the first jump.
    """

    zero: Fraction
    joins: Callable[[], Sequence[Fraction]] = tuple
    now: Fraction = Fraction(0)
    _shift: Fraction = Fraction(0)
    _jumps: int = 0

    def place(self, time: Fraction | None, lasts: Fraction) -> Fraction:
        """Where a piece stamped ``time`` lies that lasts so long;
        one without a stamp follows the last one."""
        at = self.now if time is None else time - self.zero + self._shift
        if not follows(at, self.now):
            at += self._join(at)
        self.now = max(self.now, at + lasts)
        return at

    def _join(self, at: Fraction) -> Fraction:
        """By how much a piece at ``at`` is to be moved, which another recording begins with."""
        shifts = self.joins()
        known = shifts[self._jumps] - self._shift if self._jumps < len(shifts) else self.now - at
        move = known if follows(at + known, self.now) else self.now - at
        self._jumps += 1
        self._shift += move
        return move


def follows(at: Fraction, now: Fraction) -> bool:
    """Whether a piece at ``at`` belongs to the recording that ends at ``now`` so far."""
    return -JUMP_BACK <= at - now <= LONGEST_HOLE


@dataclass
class Slots:
    """Places of a video's frames in a row of equal slots, ``fps`` a second.

    A frame is shown from its own time until the next one's, to the nearest slot, counted from the first frame
    so that rounded timestamps never fall between two.
    """

    fps: float
    _first: Fraction | None = None
    _lead: int = 0

    def begin(self, at: Fraction) -> int:
        """The slot in which a frame appears whose time is ``at`` seconds."""
        if self._first is None:
            self._first = at
            self._lead = int(float(at) * self.fps + 1 - NO_LEAD)
        return self._lead + nearest_slot(float(at - self._first) * self.fps)


def nearest_slot(place: float) -> int:
    """The whole number nearest to ``place``; of two equally near ones always the later, so that frames half a
    slot off, one slot apart, never fall together (as they do when halves go to even numbers)."""
    return math.floor(place + 0.5 + _TIE)


def base_rate(stamps: Iterable[float], declared: Sequence[float]) -> float:
    """Frames per second of a video whose frames are stamped so (seconds, any order), holds and gaps left out.

    ``declared`` are the rates the file tells (average, base), of which one is taken when it agrees.
    """
    moments = np.unique(np.asarray(list(stamps), dtype=np.float64))
    gaps = np.diff(moments)
    gaps = gaps[gaps > 1e-4]
    told = [rate for rate in declared if _SLOWEST <= rate <= _FASTEST]
    if not len(gaps):
        return told[0] if told else USUAL
    quick = float(np.quantile(gaps, _QUICK_SHARE, method="lower"))
    seen = 1.0 / float(gaps[(gaps >= _ALIKE[0] * quick) & (gaps <= _ALIKE[1] * quick)].mean())
    enough = (rate for rate in sorted(told) if _kept(moments, rate) >= _KEPT)
    return float(np.clip(min(next(enough, seen), _rounded(seen, told)), _SLOWEST, _FASTEST))


def _kept(moments: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", rate: float) -> float:
    """Part of the frames that are shown at a rate: two in one slot are one."""
    return len({nearest_slot(place) for place in ((moments - moments[0]) * rate).tolist()}) / len(moments)


def _rounded(seen: float, told: Sequence[float]) -> float:
    """The declared rate that ``seen`` is but for rounded timestamps, else ``seen``."""
    return next((rate for rate in told if abs(rate / seen - 1) < _ROUNDED), seen)
