"""A live session over WebRTC: the microphone comes in as a track, the face and the sound go out as tracks,
texts go over a data channel. Needs the extra ``webrtc``; the protocol is in docs/live.md."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import functools
import json
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from echomimic.errors import SpeechError
from echomimic.live import Live, LiveFrame, LivePortrait
from echomimic.live.sound import as_int16
from echomimic.studio.problems import Refused

RTC_RATE = 48_000
"""Hz of Opus, in both directions."""
# Frames that may wait for a track before the oldest is let go: two seconds.
_QUEUED = 50
_CLOCK = fractions.Fraction(1, 90_000)

Obey = Callable[[Live, str, Callable[[str], None]], None]
"""Does what a text on the data channel asks for; answers are told."""


class LiveTrack(MediaStreamTrack):
    """What goes out: frames of one kind, in order."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(_QUEUED)

    def put(self, frame: Any) -> None:
        """One more; a client that does not take them loses the oldest."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(frame)

    async def recv(self) -> Any:
        """The next one."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self._waiting.get()


class RtcSession:
    """One browser's connection; ``ended`` is called once when it is over."""

    def __init__(self, portrait: LivePortrait, obey: Obey, ended: Callable[[RtcSession], None]) -> None:
        # without a configuration aiortc would ask a server outside for this computer's address
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.live = Live(portrait, pace="sound", sound_rate=RTC_RATE)
        self.pictures, self.sounds = LiveTrack("video"), LiveTrack("audio")
        self._obey, self._ended, self._tasks = obey, ended, list[asyncio.Task[None]]()
        self.peer.on("track", self._follow)
        self.peer.on("datachannel", self._listen)
        self.peer.on("connectionstatechange", self._changed)

    async def answer(self, offer: dict[str, str]) -> dict[str, str]:
        """The answer to the browser's offer; raises :class:`Refused` for one that cannot be read."""
        try:
            await self.peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
            for track in (self.pictures, self.sounds):
                self.peer.addTrack(track)
            await self.peer.setLocalDescription(await self.peer.createAnswer())
        except Exception:  # aiortc raises whatever its parser meets
            await self.end()
            raise Refused("invalid", "the offer cannot be read; send an RTCPeerConnection's own") from None
        self._tasks.append(asyncio.ensure_future(self._show()))
        told = self.peer.localDescription
        return {"sdp": told.sdp, "type": told.type}

    async def end(self) -> None:
        """Ends the connection and the session; a second call does nothing."""
        if self.live.closed:
            return
        self.live.close()
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):  # what is already torn down
            await self.peer.close()
        self._ended(self)

    async def _changed(self) -> None:
        if self.peer.connectionState in ("failed", "closed"):
            await self.end()

    def _follow(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._tasks.append(asyncio.ensure_future(self._hear(track)))

    def _listen(self, channel: Any) -> None:
        def tell(message: str) -> None:
            if channel.readyState == "open":
                channel.send(json.dumps({"type": "error", "message": message}))

        channel.on("message", lambda text: self._obey(self.live, text, tell))

    async def _hear(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError, SpeechError):
            while True:
                frame: Any = await track.recv()
                samples = frame.to_ndarray().reshape(-1)
                channels = len(frame.layout.channels)
                push = functools.partial(self.live.push, samples.tobytes(), frame.sample_rate, channels)
                await asyncio.to_thread(push)

    async def _show(self) -> None:
        async for frame in self.live:
            self.pictures.put(_picture(frame))
            self.sounds.put(_sound(frame))


def _picture(frame: LiveFrame) -> Any:
    made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.picture), format="rgb24")
    made.pts, made.time_base = round(frame.time / _CLOCK), _CLOCK
    return made


def _sound(frame: LiveFrame) -> Any:
    samples = np.frombuffer(as_int16(frame.sound), np.int16)[None]
    made = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    made.sample_rate = RTC_RATE
    made.pts, made.time_base = round(frame.time * RTC_RATE), fractions.Fraction(1, RTC_RATE)
    return made
