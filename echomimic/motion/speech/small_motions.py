"""Blinks, glances and breathing, drawn as time goes by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles, smoothstep

_RATE = 25.0
# Loudness below which a blink may fall into a pause.
_QUIET = 0.25
# Seconds for which a blink waits for a pause.
_PATIENCE = 0.35
# Share of blinks that wait for a pause: the others come in the middle of a word, as people's do.
_PATIENT = 0.6
# Seconds between two blinks at least: lids need the time to open.
_SHORTEST = 0.45
# How far shoulders rise with a breath, outer eye distances.
_BREATH = 0.011
# Seconds by which shoulders come after the head.
_LATE = 0.12


class Blinks:
    """Gamma intervals; a blink waits a little for a pause, is sometimes double;
    quick to close, slow to open."""

    def __init__(self, numbers: Doubles, rng: np.random.Generator, rate: float) -> None:
        self.shape, self.mean, self.double, self.closing, self.opening = numbers
        self.rng, self.rate = rng, rate
        self.due = rng.uniform(0.5, self.mean) / rate if rate > 0 else np.inf
        self.latest = self.due + _PATIENCE * (rng.random() < _PATIENT)
        self.lids: list[tuple[float, float]] = []
        self.heard = 0

    def hear(self, energy: npt.NDArray[np.floating]) -> None:
        """Loudness of the next frames; decides when to blink."""
        for loud in energy:
            time = self.heard / _RATE
            if time >= self.latest or (time >= self.due and loud < _QUIET):
                self._blink(time)
            self.heard += 1

    def _blink(self, time: float) -> None:
        depth, again = self.rng.uniform(0.93, 1.0), self.rng.random() < self.double
        for start in (time, time + self.closing + 0.75 * self.opening)[: 1 + again]:
            self.lids.append((start, depth))
        rest = max(self.mean / self.rate - _SHORTEST, 0.2)
        self.due = time + _SHORTEST + self.rng.gamma(self.shape, rest / self.shape)
        self.latest = self.due + _PATIENCE * (self.rng.random() < _PATIENT)

    def at(self, times: Doubles) -> Doubles:
        """(F,) lid closure 0 to 1 at rising moments."""
        closed = np.zeros(len(times))
        for start, depth in self.lids:
            closed = np.maximum(closed, depth * _lid(times - start, self.closing, self.opening))
        if len(times):
            self.lids = [(start, depth) for start, depth in self.lids if start > times[-1] - 1.0]
        return closed


def _lid(time: Doubles, closing: float, opening: float) -> Doubles:
    """Closure of a lid `time` seconds after the blink begins:
    S-shaped down, a short hold, a slower S-shaped up."""
    down = smoothstep(time / closing)
    up = np.clip((time - closing - 0.03) / opening, 0, 1)
    up = 1 - (1 - up) ** 2.2
    return np.asarray(down * (1 - up), dtype=np.float64)


class Glances:
    """Small saccades around the viewer: the eye jumps in about 50 ms and then stays."""

    def __init__(self, numbers: Doubles, rng: np.random.Generator) -> None:
        self.shape, self.mean = numbers[:2]
        self.spread, self.rng = numbers[2:4], rng
        self.start, self.old, self.target = 0.0, np.zeros(2), np.zeros(2)
        self.next = rng.gamma(self.shape, self.mean / self.shape)

    def at(self, times: Doubles) -> Doubles:
        """(F, 2) at rising moments."""
        looks = np.zeros((len(times), 2))
        for i, time in enumerate(times):
            while time >= self.next:
                self._jump()
            share = min(1.0, (time - self.start) / 0.05)
            looks[i] = self.old + (self.target - self.old) * share
        return looks

    def _jump(self) -> None:
        away = np.clip(self.rng.standard_normal(2), -2.5, 2.5) * self.spread
        self.start, self.old = self.next, self.target
        self.target = np.zeros(2) if self.rng.random() < 0.3 else away
        self.next = self.start + 0.12 + self.rng.gamma(self.shape, self.mean / self.shape)


class BodySway:
    """Shoulders: breathing of wandering pace, and a share of what the head does, a little later."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.pace, self.turn = rng.uniform(0.22, 0.28), rng.uniform(0, 2 * np.pi)
        self.drift = rng.uniform(0, 2 * np.pi)
        self.late, self.last = np.zeros(2), 0.0
        self.first = float(self._breath(np.zeros(1))[0])

    def at(self, times: Doubles, position: Doubles, strength: float) -> Doubles:
        """(F, 2) at rising moments; position (F, 2) of the head."""
        breath = self._breath(times) - self.first * np.exp(-times / 1.5)
        late = np.empty((len(times), 2))
        for i, (time, place) in enumerate(zip(times, position, strict=True)):
            self.late = self.late + (place - self.late) * (1 - np.exp((self.last - time) / _LATE))
            late[i], self.last = self.late, time
        return np.stack([0.22 * late[:, 0], strength * _BREATH * breath + 0.12 * late[:, 1]], 1)

    def _breath(self, times: Doubles) -> Doubles:
        phase = (
            self.turn + 2 * np.pi * self.pace * times + 0.6 * np.sin(2 * np.pi * 0.031 * times + self.drift)
        )
        return np.asarray(np.sin(phase) + 0.25 * np.sin(2 * phase))
