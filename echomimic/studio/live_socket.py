"""A live session over a WebSocket: sound goes in, frames with their sound come out.
The protocol is in docs/live.md."""

import asyncio
import contextlib
import importlib.util
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
from starlette.websockets import WebSocket, WebSocketDisconnect

from echomimic.errors import EchoMimicError, SpeechError
from echomimic.live import Live, LiveFrame, LivePortrait
from echomimic.live.sound import HIGHEST, LOWEST, as_int16
from echomimic.studio.problems import Refused
from echomimic.studio.saying import Sayer

FRAME_HEAD = struct.Struct("<IdIB3x")
"""Before every frame: its number, its time in seconds, bytes of sound that follow (then JPEG), flags."""

IS_SPEAKING, IS_REPEATED, IS_LAST = 1, 2, 4
READ_PATIENCE = 20.0
"""Seconds that a client may take to read a frame; one that never reads is let go."""

MOST_SESSIONS = 8
"""Sessions at once: each costs most of a core at 512 pixels."""

LONGEST_MESSAGE = 10 * 2**20
"""Bytes of one message; a longer one ends the session."""


RTC_REMEDY = 'pip install "echomimic-studio[webrtc]"'


def rtc_ready() -> bool:
    """Whether WebRTC's package is installed."""
    return importlib.util.find_spec("aiortc") is not None


@dataclass
class Wish:
    """What a client may choose in its ``start``."""

    rate: int = 48_000
    channels: int = 1
    pace: str = "sound"
    quality: int = 80

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Wish":
        """Raises :class:`SpeechError` for what cannot be used."""
        wish = cls(*(told.get(name, getattr(cls, name)) for name in ("rate", "channels", "pace", "quality")))
        whole = [type(v) is int for v in (wish.rate, wish.channels, wish.quality)]
        if not all(whole) or not LOWEST <= wish.rate <= HIGHEST or wish.channels not in (1, 2):
            raise SpeechError(f"start: send rate {LOWEST} to {HIGHEST} Hz and 1 or 2 channels")
        if wish.pace not in ("sound", "clock") or not 30 <= wish.quality <= 100:
            raise SpeechError("start: send pace sound or clock, and quality 30 to 100")
        return wish


class Sessions:
    """Serves live sessions; counts them."""

    def __init__(self, sayer: Sayer) -> None:
        self.open, self.sayer = 0, sayer
        self._connected: set[Any] = set()
        self._saying: set[asyncio.Task[None]] = set()

    async def connect(self, offer: dict[str, str], portrait: Callable[[], LivePortrait]) -> dict[str, str]:
        """The answer to a browser's WebRTC offer; the session lives as long as the connection.

        Raises :class:`Refused` where aiortc is missing, too many run, or the offer cannot be read.
        """
        if not rtc_ready():
            raise Refused("missing", f"WebRTC needs a package that is missing; run: {RTC_REMEDY}", RTC_REMEDY)
        if self.open >= MOST_SESSIONS:
            raise Refused("conflict", f"{self.open} sessions run already; try again later")
        from echomimic.studio.live_rtc import RtcSession

        ready = await asyncio.to_thread(portrait)
        session = RtcSession(ready, self._heed, self._forget)
        self.open += 1
        self._connected.add(session)
        return await session.answer(offer)

    async def end(self) -> None:
        """Ends the sessions over WebRTC; the server ends its sockets itself."""
        for session in list(self._connected):
            await session.end()

    def _forget(self, session: Any) -> None:
        if session in self._connected:
            self._connected.discard(session)
            self.open -= 1

    def _heed(self, live: Live, text: str, tell: Callable[[str], None]) -> None:
        """Does what a text asks for; what is to be said is said meanwhile."""
        try:
            said = command(live, text)
        except SpeechError as error:
            tell(str(error))
            return
        if said is not None:
            task = asyncio.ensure_future(self._speak(live, said, tell))
            self._saying.add(task)
            task.add_done_callback(self._saying.discard)

    async def _speak(self, live: Live, text: str, tell: Callable[[str], None]) -> None:
        try:
            await asyncio.to_thread(self.sayer.say, live, text)
        except (EchoMimicError, Refused) as error:
            tell(str(error))

    async def serve(self, socket: WebSocket, portrait: Callable[[], LivePortrait]) -> None:
        """One client, until it leaves. ``portrait`` is called in a thread;
        what it raises is told to the client."""
        await socket.accept()
        if self.open >= MOST_SESSIONS:
            await _refuse(socket, f"{self.open} sessions run already; try again later")
            return
        self.open += 1
        try:
            await self._run(socket, portrait)
        except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError, OSError):
            pass  # the client left or never reads: only its session ends
        finally:
            self.open -= 1
            with contextlib.suppress(Exception):
                await socket.close()

    async def _run(self, socket: WebSocket, portrait: Callable[[], LivePortrait]) -> None:
        try:
            wish = Wish.of(_json(await socket.receive_text()))
            ready = await asyncio.to_thread(portrait)
        except (EchoMimicError, Refused, KeyError, ValueError) as error:
            await _refuse(socket, str(error) or "the first message has to be a start; see docs/live.md")
            return
        with Live(ready, pace=wish.pace) as live:  # type: ignore[arg-type]
            width, height = ready.size
            facts = {"width": width, "height": height, "fps": live.fps, "sound_rate": live.sound_rate}
            facts["voice"] = self.sayer.ready
            await socket.send_json({"type": "ready", "delay": round(live.delay, 3), **facts})
            sending = asyncio.create_task(_send(socket, live, wish.quality))
            hearing = asyncio.create_task(_hear(socket, live, wish, self._heed))
            try:
                done, _ = await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                live.close()
                hearing.cancel()
                sending.cancel()
                await asyncio.gather(sending, hearing, return_exceptions=True)


async def _send(socket: WebSocket, live: Live, quality: int) -> None:
    async for frame in live:
        message = await asyncio.to_thread(pack_frame, frame, quality)
        await asyncio.wait_for(socket.send_bytes(message), READ_PATIENCE)


async def _hear(
    socket: WebSocket, live: Live, wish: Wish, heed: Callable[[Live, str, Callable[[str], None]], None]
) -> None:
    answers: set[asyncio.Task[None]] = set()

    async def answer(reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client left meanwhile
            await _refuse(socket, reason)

    def tell(reason: str) -> None:
        task = asyncio.ensure_future(answer(reason))
        answers.add(task)
        task.add_done_callback(answers.discard)

    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if (sound := message.get("bytes")) is None:
            heed(live, message.get("text") or "", tell)
            continue
        try:
            await _push(live, sound, wish)
        except SpeechError as error:
            await _refuse(socket, str(error))


async def _push(live: Live, sound: bytes, wish: Wish) -> None:
    if len(sound) > LONGEST_MESSAGE:
        raise SpeechError(f"a message of {len(sound)} bytes is too long; send at most {LONGEST_MESSAGE}")
    await asyncio.to_thread(live.push, sound, wish.rate, wish.channels)


def command(live: Live, text: str) -> str | None:
    """Does what a text message asks for; a text that is to be said is given back. Raises
    :class:`SpeechError`."""
    told = _json(text)
    kind = told.get("type")
    if kind == "say" and isinstance(told.get("text"), str):
        return str(told["text"])
    if kind == "end":
        live.end()
    elif kind == "interrupt":
        live.interrupt()
    else:
        raise SpeechError(f"a message of type {kind!r} is unknown; send end, interrupt, or say with a text")
    return None


def pack_frame(frame: LiveFrame, quality: int) -> bytes:
    """A frame as it is sent: head, 16-bit sound, JPEG."""
    sound = as_int16(frame.sound)
    _, jpeg = cv2.imencode(".jpg", frame.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    flags = IS_SPEAKING * frame.speaking | IS_REPEATED * frame.repeated | IS_LAST * frame.last
    return FRAME_HEAD.pack(frame.number, frame.time, len(sound), flags) + sound + jpeg.tobytes()


def unpack_frame(message: bytes) -> tuple[int, float, bytes, bytes, int]:
    """(number, time, sound, JPEG, flags) of a sent frame: what a client does."""
    number, time, length, flags = FRAME_HEAD.unpack_from(message)
    middle = FRAME_HEAD.size + length
    return number, time, message[FRAME_HEAD.size : middle], message[middle:], flags


def _json(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise SpeechError("a text message is not a JSON object; see docs/live.md")
    return told


async def _refuse(socket: WebSocket, reason: str) -> None:
    await socket.send_json({"type": "error", "message": " ".join(reason.split())})
