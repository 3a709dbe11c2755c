"""A live session: ``push`` sound, iterate frames. Threads stay inside; time is counted in samples."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Floats, Picture
from echomimic.errors import SettingsError
from echomimic.live.portrait import LivePortrait, prepare
from echomimic.live.sound import as_mono
from echomimic.live.speaker import Act, Speaker
from echomimic.motion.speech.stepper import Manner, Stepper
from echomimic.preview.engine import OPENCV_ALONE, THREADS
from echomimic.request import Settings

Pace: TypeAlias = Literal["clock", "sound", "none"]
"""When frames leave. ``clock``: at the frame rate, however fast sound comes (text to speech). ``sound``: as
soon as their sound is there (a microphone is its own clock). ``none``: as fast as they are asked for, none
between utterances.
"""

MOST_WAITING = 600.0
"""Seconds of sound that may wait (16 kHz floats: 38 MB); ``push`` waits for room beyond it."""

AHEAD = 2
"""Frames that are drawn before they are due:
an interruption shows at most so many old ones (80 ms at 25 fps)."""

PATIENCE = 0.3
"""Seconds for which the rest of an utterance is waited for, before the face goes idle;
longer than most hiccups."""

LATE, TOO_LATE = 1.5, 4.0
"""Frames behind the clock from which on every other picture, and every one, is repeated instead of drawn."""


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame, (H, W, 3) uint8 RGB; its sound, (T,) float32 mono at the session's ``sound_rate``; its time in
    seconds.

    ``speaking``: something is said in it. ``repeated``: the picture is the one before, since the CPU was
    behind. ``last``: the utterance ends with it. ``turn``: interruptions that it heeds; one with an older
    turn than
    :attr:`Live.turn` was on its way when the interruption came.
    """

    picture: Picture
    sound: Floats
    time: float
    number: int
    speaking: bool
    repeated: bool
    last: bool
    turn: int = 0

    def __iter__(self) -> Iterator[Any]:
        return iter((self.picture, self.sound, self.time))


class Live:
    """A face that speaks what is pushed into it and lives in between.

    ``portrait`` is a picture (file or array) or a :class:`LivePortrait` from :func:`prepare`, which sessions
    can share. Iterate it (``for`` or ``async for``) in one place; push from anywhere. ``close`` ends the
    iteration. Raises the errors of :func:`prepare`, and :class:`SettingsError` for a rate out of range.
    """

    def __init__(
        self,
        portrait: Picture | Path | str | LivePortrait,
        settings: Settings | None = None,
        fps: float = 25.0,
        *,
        pace: Pace = "clock",
        sound_rate: int = 24_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 5 <= fps <= 60:
            raise SettingsError(f"fps {fps} is out of range; choose 5 to 60", "fps")
        self.portrait = portrait if isinstance(portrait, LivePortrait) else prepare(portrait, settings)
        self.fps, self.pace, self.sound_rate = fps, pace, sound_rate
        self._speaker = Speaker(_stepper(settings or self.portrait.settings, fps), sound_rate)
        self._clock, self._began = clock, None if pace != "none" else 0.0
        self._changed = threading.Condition()
        self._sounds: deque[tuple[Floats, int]] = deque()
        self._waiting = 0.0
        self._interrupted = self._closed = False
        self._talking = False
        self._heard_at = clock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="live")
        self._drawn: deque[tuple[Act, Future[Picture] | None, int]] = deque()
        self.turn = self._heeded = 0
        self._picture: Picture | None = None
        self.repeated = 0
        """Pictures that were not drawn because the CPU was behind."""

    @property
    def delay(self) -> float:
        """Seconds from a sound to the frame that shows it, without drawing: look-ahead and one frame."""
        return self._speaker.lookahead + 1 / self.fps

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._closed

    def push(
        self,
        pcm: "bytes | bytearray | memoryview | npt.NDArray[np.generic]",
        rate: int,
        channels: int = 1,
        *,
        turn: int | None = None,
    ) -> None:
        """More of what is said: int16 bytes or an int16 or float array, mono or stereo, at 8 to 48 kHz, of
        any length.

        Waits while ten minutes of sound are not yet spoken. Sound of an older ``turn`` is forgotten: it was
        on its way when :meth:`interrupt` was called. Raises :class:`SpeechError` for a chunk that cannot be
        used; the session goes on without it. After ``close`` nothing happens.
        """
        wave = as_mono(pcm, rate, channels)
        with self._changed:
            turn = self.turn if turn is None else turn
            self._changed.wait_for(lambda: self._closed or self.turn != turn or self._waiting <= MOST_WAITING)
            if self.turn != turn:
                return
            self._sounds.append((wave, int(rate)))
            self._waiting += len(wave) / rate
            self._talking = True
            self._heard_at = self._clock()
            self._changed.notify_all()

    def end(self) -> None:
        """The utterance is complete."""
        with self._changed:
            if self._talking:
                self._sounds.append(
                    (np.zeros(0, np.float32), 0)
                )  # a mark: the next utterance may follow at once
            self._talking = False
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Somebody talks in between: what was pushed is forgotten, the mouth closes, the face lives on."""
        with self._changed:
            self._sounds.clear()
            self._waiting, self._talking, self._interrupted = 0.0, False, True
            self.turn += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the session and its threads; the iteration stops."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[LiveFrame]:
        with OPENCV_ALONE:
            while (frame := self._next()) is not None:
                yield frame

    async def __aiter__(self) -> AsyncIterator[LiveFrame]:
        with OPENCV_ALONE, ThreadPoolExecutor(1, thread_name_prefix="live-wait") as waiter:
            loop = asyncio.get_running_loop()
            while (frame := await loop.run_in_executor(waiter, self._next)) is not None:
                yield frame

    def _next(self) -> LiveFrame | None:
        """The next frame when it is due; None when the session is over."""
        while True:
            self._obey()
            self._fill()
            with self._changed:
                if self._closed:
                    return None
                if self._interrupted or (self._sounds and len(self._drawn) < AHEAD):
                    continue  # it came while the last was worked on
                if not self._drawn:
                    if self.pace == "none" and not self._talking:
                        return None
                    self._changed.wait(self._until_idle())
                    continue
                wait = self._until_due()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
            return self._shown(*self._drawn.popleft())

    def _obey(self) -> None:
        """Does what was asked for since the last frame."""
        with self._changed:
            asked, self._interrupted, self._heeded = self._interrupted, False, self.turn
        if asked:
            self._speaker.interrupt()

    def _fill(self) -> None:
        """Keeps ``AHEAD`` frames drawn or being drawn, as far as their sound is there.

        The nets run in here, so the lock that ``push`` needs is not held: only who iterates touches the
        speaker.
        """
        while len(self._drawn) < AHEAD:
            act = self._speaker.take()
            while act is None and self._listen():
                act = self._speaker.take()
            if act is None and self._may_idle():
                self._speaker.idle()
                act = self._speaker.take()
            if act is None:
                return
            self._drawn.append((act, self._draw(act), self._heeded))

    def _listen(self) -> bool:
        """Takes one pushed chunk (at most a frame of it) in;
        False when there is none, or an interruption to obey."""
        with self._changed:
            if self._interrupted or not self._sounds:
                return False
            wave, rate = self._sounds.popleft()
            more = bool(self._sounds)
            size = max(1, int(rate / self.fps))
            if len(wave) > size:
                self._sounds.appendleft((wave[size:], rate))
            if rate:
                self._waiting = max(0.0, self._waiting - min(len(wave), size) / rate)
            self._changed.notify_all()
        if rate == 0:
            (self._speaker.mark if more else self._speaker.finish)()
        else:
            self._speaker.hear(wave[:size], rate)
            self._speaker.work()
        return True

    def _may_idle(self) -> bool:
        if self.pace == "none" or (self._talking and self._clock() - self._heard_at < PATIENCE):
            return False
        return self._until_due(len(self._drawn)) <= 0 or not self._drawn

    def _until_idle(self) -> float | None:
        if self.pace == "none":
            return None
        left = PATIENCE - (self._clock() - self._heard_at) if self._talking else 0.0
        return max(0.001, left, self._until_due())

    def _until_due(self, after: int = 0) -> float:
        """Seconds until the next frame (or that ``after`` it) may leave; 0 or less: now."""
        if self.pace == "none":
            return 0.0
        now = self._clock()
        if self._began is None:
            self._began = now
        return self._began + (self._left + after) / self.fps - now

    # Frames that left.
    _left = 0

    def _draw(self, act: Act) -> "Future[Picture] | None":
        """The picture, being drawn; None when the CPU is behind, and the one before is shown again."""
        behind = -self._until_due() * self.fps if self.pace != "none" and self._picture is not None else 0.0
        if behind > TOO_LATE or (behind > LATE and act.number % 2):
            return None
        with self._changed:  # close shuts the pool
            return (
                None if self._closed else self._pool.submit(self.portrait.renderer.render, act.performance, 0)
            )

    def _shown(self, act: Act, picture: "Future[Picture] | None", turn: int) -> LiveFrame | None:
        try:
            drawn = self._picture if picture is None else picture.result()
        except BaseException:  # cancelled by close
            if self._closed:
                return None
            raise
        assert drawn is not None
        self._picture = drawn
        self._left += 1
        self.repeated += picture is None
        self._catch_up()
        time, repeated = act.number / self.fps, picture is None
        return LiveFrame(drawn, act.sound, time, act.number, act.speaking, repeated, act.last, turn)

    def _catch_up(self) -> None:
        """With a microphone the sound is the clock:
        frames that came early or late move it, so that nothing adds up."""
        if self.pace == "sound" and self._began is not None:
            self._began = self._clock() - self._left / self.fps


def _stepper(settings: Settings, fps: float) -> Stepper:
    strengths = settings.expressiveness, settings.head_motion, settings.blink_rate, settings.gaze
    manner = Manner(*strengths, settings.style)
    return Stepper(manner, fps, settings.seed)
