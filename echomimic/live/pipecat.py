"""Pipecat: a processor that gives the bot's voice a face. Needs the extra ``pipecat``."""

import asyncio
import functools
from collections import deque
from pathlib import Path

from echomimic.arrays import Picture
from echomimic.errors import ResourceError, SpeechError
from echomimic.live.portrait import LivePortrait, prepare
from echomimic.live.session import Live, LiveFrame
from echomimic.live.sound import as_int16
from echomimic.request import Settings

try:
    from pipecat.frames import frames as frame_types
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
except ImportError as error:
    raise ResourceError(
        f"this needs Pipecat ({error}); run: pip install 'echomimic-studio[pipecat]'"
    ) from error


class LiveFaceProcessor(FrameProcessor):
    """Stands after the text to speech: takes its sound, gives the same sound with the pictures that belong to
    it.

    Every picture is an ``OutputImageRawFrame`` (RGB) with ``sync_with_audio``, its sound a
    ``TTSAudioRawFrame`` after it; ``TTSStoppedFrame`` follows the last sound, ``EndFrame`` waits for it.
    Pictures come at ``fps`` between utterances, too. An ``InterruptionFrame`` ends what is said at once.
    Other frames pass at once. ``portrait`` and ``settings`` are those of :class:`Live`, whose errors
    :meth:`begin` raises.
    """

    def __init__(
        self,
        portrait: Picture | Path | str | LivePortrait,
        settings: Settings | None = None,
        *,
        fps: float = 25.0,
        sound_rate: int = 24_000,
    ) -> None:
        super().__init__()
        self._portrait, self._settings, self._fps, self._sound_rate = portrait, settings, fps, sound_rate
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = 0
        self._open = False
        self._stops: deque[list[frame_types.Frame]] = deque()
        self._contexts: deque[str | None] = deque()
        self._silent = asyncio.Event()
        self._silent.set()

    async def begin(self) -> None:
        """Looks at the portrait and starts to draw;
        happens with the ``StartFrame``, unless it was called before."""
        if self._live is None:
            self._live = await asyncio.to_thread(self._make_live)

    async def process_frame(self, frame: "frame_types.Frame", direction: "FrameDirection") -> None:
        """One frame of the pipeline."""
        await super().process_frame(frame, direction)
        if isinstance(frame, frame_types.StartFrame):
            await self.begin()
            self._task = self.create_task(self._show())
        elif direction == FrameDirection.DOWNSTREAM and await self._took(frame):
            return
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Ends the session."""
        await super().cleanup()
        await self._stop()

    async def _took(self, frame: "frame_types.Frame") -> bool:
        """Heeds a frame; whether it is kept for later, or used up."""
        if isinstance(frame, frame_types.TTSAudioRawFrame):
            await self._hear(frame)
            return True
        if isinstance(frame, frame_types.TTSStoppedFrame):
            return self._end(frame)
        if isinstance(frame, frame_types.InterruptionFrame):
            self._interrupt()
        elif isinstance(frame, frame_types.EndFrame):
            self._end(None)
            await self._silent.wait()
            await self._stop()
        elif isinstance(frame, frame_types.CancelFrame):
            await self._stop()
        return False

    async def _hear(self, frame: "frame_types.TTSAudioRawFrame") -> None:
        if self._live is None or not frame.audio:
            return
        turn = self._turn
        try:
            more = functools.partial(self._live.push, turn=turn)
            await asyncio.to_thread(more, frame.audio, frame.sample_rate, frame.num_channels)
        except SpeechError as error:
            await self.push_error(error_msg=str(error), exception=error)
            return
        if turn == self._turn and not self._open:
            self._open = True
            self._contexts.append(frame.context_id)
            self._stops.append([])
            self._silent.clear()

    def _end(self, stop: "frame_types.Frame | None") -> bool:
        """The utterance is complete; ``stop`` waits for its last sound, if there is any."""
        if self._live is not None and self._open:
            self._live.end()
            self._open = False
        if stop is None or not self._stops:
            return False
        self._stops[-1].append(stop)
        return True

    def _interrupt(self) -> None:
        if self._live is not None:
            self._live.interrupt()
            self._turn = self._live.turn
        self._open = False
        self._forget()

    def _forget(self) -> None:
        self._stops.clear()
        self._contexts.clear()
        self._silent.set()

    async def _show(self) -> None:
        assert self._live is not None
        async for frame in self._live:
            await self.push_frame(self._image(frame))
            if frame.turn == self._turn and frame.speaking:
                await self.push_frame(self._sound(frame))
            if frame.turn == self._turn and frame.last:
                await self._finish()

    async def _finish(self) -> None:
        if not self._stops:
            return
        self._contexts.popleft()
        for stop in self._stops.popleft():
            await self.push_frame(stop)
        if not self._stops:
            self._silent.set()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if self._live is not None:
            self._live.close()
        if task is not None:
            await self.cancel_task(task)
        self._forget()

    def _image(self, frame: LiveFrame) -> "frame_types.OutputImageRawFrame":
        height, width = frame.picture.shape[:2]
        image = frame_types.OutputImageRawFrame(frame.picture.tobytes(), (width, height), "RGB")
        image.sync_with_audio = True
        image.pts = round(frame.time * 1e9)
        return image

    def _sound(self, frame: LiveFrame) -> "frame_types.TTSAudioRawFrame":
        context = self._contexts[0] if self._contexts else None
        sound = frame_types.TTSAudioRawFrame(as_int16(frame.sound), self._sound_rate, 1, context_id=context)
        return sound

    def _make_live(self) -> Live:
        ready = self._portrait
        if not isinstance(ready, LivePortrait):
            ready = prepare(ready, self._settings)
        return Live(ready, self._settings, self._fps, sound_rate=self._sound_rate)
