"""A speaker who is never still: sound and silence go in, frames of a performance come out with their sound.

No threads and no clock in here. Everything is counted in frames: frame i goes with the samples from
i·rate/fps to (i + 1)·rate/fps of the line that is sent on.
"""

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from echomimic.arrays import Floats
from echomimic.live.sound import LISTENED, Line
from echomimic.motion.performance import Performance
from echomimic.motion.speech.stepper import Stepper

FADE = 0.01
"""Seconds in which the sound ends when it is interrupted: a cut would click."""

CLOSING = (0.6, 0.3, 0.1)
"""Parts of the mouth's opening in the frames after an interruption: it closes in 120 ms, as lips do."""


@dataclass(frozen=True)
class Act:
    """One frame to draw: its performance, number and sound;
    whether something is said in it, and an utterance ends."""

    number: int
    performance: Performance
    sound: Floats
    speaking: bool
    last: bool


class Speaker:
    """Puts sound through a :class:`Stepper`, frame by frame."""

    def __init__(self, stepper: Stepper, sound_rate: int) -> None:
        self._stepper, self.fps = stepper, stepper.fps
        self._heard, self._sent = Line(LISTENED), Line(sound_rate)
        self._ready: deque[Performance] = deque()
        self._spoken: deque[tuple[int, int | None]] = deque()
        """Numbers of the frames in which something is said:
        (first, beyond the last or None while it goes on)."""
        self._ends: deque[int] = deque()
        """Numbers of frames with which utterances end."""
        self._closing = 0
        self.made = 0
        """Frames given out so far."""

    @property
    def lookahead(self) -> float:
        """Seconds by which sound must be ahead of the frame that shows it."""
        return self._stepper.lookahead / 25.0

    def hear(self, wave: Floats, rate: int) -> None:
        """More of what is said."""
        if not self._goes_on:
            self._spoken.append((int(self._heard.length / LISTENED * self.fps + 1e-6), None))
        self._heard.put(wave, rate)
        self._sent.put(wave, rate)

    def mark(self) -> None:
        """The utterance is over and the next one follows at once."""
        self._heard.flush()
        self._sent.flush()
        beyond = self._pause()
        self._ends.append(beyond - 1)

    def finish(self) -> None:
        """The utterance is over; its last frames can be had without more sound."""
        self.mark()
        self._work(self._heard.waiting)
        self._keep(self._stepper.end())
        self._align()

    def idle(self) -> None:
        """One more frame without more sound; what was heard so far is still said."""
        if self._goes_on:
            self._pause()
            self._work(self._heard.waiting)
        self._keep(self._stepper.idle(1))
        self._align()

    def work(self) -> None:
        """Listens until at least one frame is ready, as far as the sound reaches."""
        hop = round(LISTENED / self.fps)
        while not self._ready and self._heard.waiting >= hop:
            self._work(hop)

    def take(self) -> Act | None:
        """The next frame, None when no more are known."""
        if not self._ready:
            return None
        number, shown = self.made, self._ready.popleft()
        self.made += 1
        if self._closing:
            shown = self._close(shown)
        sound = self._sent.take(round((number + 1) * self._sent.rate / self.fps) - self._sent.taken)
        last = bool(self._ends) and self._ends[0] <= number
        if last:
            self._ends.popleft()
        return Act(number, shown, sound, self._is_spoken(number), last)

    def interrupt(self) -> None:
        """What is being said stops: its sound fades within 10 ms, the mouth closes,
        from the present pose on."""
        tail = (
            self._sent.take(0) if not self._sent.waiting else self._sent.take(round(FADE * self._sent.rate))
        )
        self._sent.taken -= len(tail)
        self._heard.drop()
        self._ends.clear()
        self._stepper.interrupt()
        self._sent.drop()
        if len(tail):
            self._sent.put(tail * np.linspace(1, 0, len(tail), dtype=np.float32), self._sent.rate)
        self._align()
        self._closing = len(self._ready) + self._stepper.lookahead + len(self._stepper.spare) + 1
        self._closed = 0
        self._spoken.clear()

    def _close(self, shown: Performance) -> Performance:
        part = CLOSING[self._closed] if self._closed < len(CLOSING) else 0.0
        self._closed += 1
        self._closing -= 1
        return replace(shown, expression=shown.expression * np.float32(part))

    @property
    def _goes_on(self) -> bool:
        """Whether sound was heard that no end or pause followed."""
        return bool(self._spoken) and self._spoken[-1][1] is None

    def _pause(self) -> int:
        """What is said ends with the sound so far, for now; the number of the frame beyond it."""
        beyond = math.ceil(self._heard.length / LISTENED * self.fps - 1e-6)
        if self._goes_on:
            self._spoken[-1] = (self._spoken[-1][0], beyond)
        return beyond

    def _is_spoken(self, number: int) -> bool:
        while self._spoken and (end := self._spoken[0][1]) is not None and end <= number:
            self._spoken.popleft()
        return bool(self._spoken) and self._spoken[0][0] <= number

    def _work(self, samples: int) -> None:
        self._keep(self._stepper.push(self._heard.take(samples)))

    def _keep(self, done: Performance) -> None:
        self._ready.extend(done[i : i + 1] for i in range(len(done)))

    def _align(self) -> None:
        """The line that is sent on gets the silence that the stepper was fed."""
        self._sent.pad(round(self._stepper.samples * self._sent.rate / LISTENED))
        self._heard.length = self._heard.taken = self._stepper.samples
