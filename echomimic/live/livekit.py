"""LiveKit Agents: a face for the agent's voice, drawn in the agent's own process.
Needs the extra ``livekit``."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from echomimic.arrays import Picture
from echomimic.errors import ResourceError
from echomimic.live.portrait import LivePortrait, prepare
from echomimic.live.session import Live, LiveFrame
from echomimic.live.sound import as_int16
from echomimic.request import Settings

try:
    from livekit import rtc
    from livekit.agents import AgentSession
    from livekit.agents.voice import avatar
except ImportError as error:
    raise ResourceError(
        f"this needs LiveKit Agents ({error}); run: pip install 'echomimic-studio[livekit]'"
    ) from error

END_PATIENCE = 2.0
"""Seconds for which ``aclose`` waits for the frame that is being drawn."""


class LiveVideoGenerator(avatar.VideoGenerator):
    """What LiveKit's ``AvatarRunner`` takes: sound is pushed in, frames with their sound are iterated.

    Video comes at ``live.fps``, also between utterances; sound only while something is said. Each segment
    that is spoken to its end gives one ``AudioSegmentEnd``, one that is interrupted none. Closes ``live`` in
    :meth:`aclose`.
    """

    def __init__(self, live: Live) -> None:
        self.live = live
        self._turn = live.turn
        self._order = asyncio.Lock()

    @property
    def options(self) -> avatar.AvatarOptions:
        """What the runner has to know."""
        width, height = self.live.portrait.size
        return avatar.AvatarOptions(width, height, self.live.fps, self.live.sound_rate, 1)

    async def push_audio(self, frame: "rtc.AudioFrame | avatar.AudioSegmentEnd") -> None:
        """More of what is said, or the end of a segment.
        Raises :class:`SpeechError` for sound that cannot be used."""
        async with self._order:
            if isinstance(frame, avatar.AudioSegmentEnd):
                self.live.end()
                return
            more = functools.partial(self.live.push, turn=self.live.turn)
            await asyncio.to_thread(more, bytes(frame.data), frame.sample_rate, frame.num_channels)

    async def clear_buffer(self) -> None:
        """The user talks in between: no more of the old sound comes out from now on."""
        self._turn = self.live.turn + 1
        async with self._order:  # a chunk on its way in is forgotten, too
            self.live.interrupt()
            self._turn = self.live.turn

    async def __aiter__(self) -> "AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | avatar.AudioSegmentEnd]":
        async for frame in self.live:
            yield self._video(frame)
            if frame.turn == self._turn and frame.speaking:
                yield self._audio(frame)
            if frame.turn == self._turn and frame.last:
                yield avatar.AudioSegmentEnd()

    async def aclose(self) -> None:
        """Ends the session; the iteration stops."""
        self.live.close()

    def _video(self, frame: LiveFrame) -> "rtc.VideoFrame":
        height, width = frame.picture.shape[:2]
        return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.picture.tobytes())

    def _audio(self, frame: LiveFrame) -> "rtc.AudioFrame":
        sound = as_int16(frame.sound)
        return rtc.AudioFrame(sound, self.live.sound_rate, 1, len(sound) // 2)


class LiveAvatarSession(avatar.AvatarSession):
    """A face for an ``AgentSession``: ``await LiveAvatarSession("me.png").start(session, room)`` before the
    session.

    Runs in the agent's process, and publishes the video and the voice as the agent's own tracks.
    ``portrait``, ``settings`` and ``fps`` are those of :class:`Live`, whose errors :meth:`start` raises.
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
        self._room: rtc.Room | None = None
        self._portrait, self._settings, self._fps, self._sound_rate = portrait, settings, fps, sound_rate
        self._generator: LiveVideoGenerator | None = None
        self._runner: avatar.AvatarRunner | None = None
        self._identity = ""

    @property
    def avatar_identity(self) -> str:
        """The agent's own identity: the face is not a participant of its own."""
        return self._identity

    @property
    def provider(self) -> str:
        """Who makes the picture."""
        return "echomimic"

    async def start(self, agent_session: "AgentSession", room: "rtc.Room") -> None:
        """Draws from now on; what the agent says goes through the face."""
        live = await asyncio.to_thread(self._make_live)
        self._identity = room.local_participant.identity if room.isconnected() else ""
        await super().start(agent_session, room)
        self._generator = LiveVideoGenerator(live)
        sink = avatar.QueueAudioOutput(sample_rate=self._sound_rate, wait_playback_start=True)
        self._runner = avatar.AvatarRunner(
            room, audio_recv=sink, video_gen=self._generator, options=self._generator.options
        )
        await self._runner.start()
        agent_session.output.replace_audio_tail(sink)

    async def aclose(self) -> None:
        """Stops drawing; the agent stays in the room. A second call does nothing."""
        runner, self._runner = self._runner, None
        if self._generator is not None:
            await self._generator.aclose()
        if runner is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(runner.aclose(), END_PATIENCE)
        # the base class would remove the participant that shows the face: here that is the agent itself
        room, self._room = self._room, None
        if room is not None:
            room.off("connection_state_changed", self._on_connection_state_changed)
        await super().aclose()

    def _make_live(self) -> Live:
        ready = self._portrait
        if not isinstance(ready, LivePortrait):
            ready = prepare(ready, self._settings)
        return Live(ready, self._settings, self._fps, sound_rate=self._sound_rate)
