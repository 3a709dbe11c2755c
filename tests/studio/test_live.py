"""The live door: who gets in, what is said to whom, and that only the client that misbehaves is let go."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import WebSocketTestSession

pytest.importorskip("starlette", reason="the live page needs the extra `studio`")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from echomimic.errors import SpeechError
from echomimic.live import Live, prepare
from echomimic.media.audio import RATE, Speech
from echomimic.request import Settings
from echomimic.studio.live_app import make_live_app
from echomimic.studio.live_socket import IS_LAST, IS_SPEAKING, LONGEST_MESSAGE, Sessions, unpack_frame
from echomimic.studio.saying import Sayer

EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
START = json.dumps({"type": "start", "rate": RATE, "pace": "clock"})
HOST = {"host": "127.0.0.1"}
KEY = {**HOST, "authorization": "Bearer secret"}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = make_live_app(EXAMPLE / "portrait.jpg", Settings(size=128), "secret")
    with TestClient(app, base_url="http://127.0.0.1") as made:
        yield made


def frames(socket: WebSocketTestSession, count: int) -> Iterator[tuple[int, float, bytes, bytes, int]]:
    for _ in range(count):
        yield unpack_frame(socket.receive_bytes())


def test_speech_comes_back_with_its_frames(client: TestClient) -> None:
    spoken = Speech.open(EXAMPLE / "speech.flac").read(RATE, RATE + 8000)
    with client.websocket_connect("/api/live", headers=KEY) as socket:
        socket.send_text(START)
        ready = json.loads(socket.receive_text())
        assert (ready["type"], ready["width"], ready["fps"], ready["sound_rate"]) == (
            "ready",
            128,
            25.0,
            24_000,
        )
        socket.send_bytes((spoken * 32767).astype("<i2").tobytes())
        socket.send_text('{"type": "end"}')
        got = []
        for frame in frames(socket, 75):
            got.append(frame)
            if frame[-1] & IS_LAST:
                break
    assert [number for number, *_ in got] == list(range(len(got)))
    assert [round(time * 25) for _, time, *_ in got] == list(range(len(got)))
    assert all(jpeg[:2] == b"\xff\xd8" and len(sound) == 1920 for _, _, sound, jpeg, _ in got)
    said = np.frombuffer(b"".join(sound for _, _, sound, _, flags in got if flags & IS_SPEAKING), "<i2")
    assert np.abs(said).max() > 1000
    assert len(said) >= 0.45 * 24_000
    assert got[-1][-1] & IS_LAST


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("/api/live", HOST),
        ("/api/live", {**HOST, "authorization": "Bearer wrong"}),
        ("/api/live", {**KEY, "origin": "http://evil.example"}),
        ("/api/live", {**KEY, "host": "evil.example"}),
    ],
)
def test_without_the_token_or_from_elsewhere_nobody_gets_in(
    client: TestClient, address: str, headers: dict[str, str]
) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(address, headers=headers):
        pass


@pytest.mark.parametrize(
    "first",
    ["{", "[]", '{"rate": 1}', '{"rate": "x"}', '{"channels": 9}', '{"pace": "none"}', '{"quality": 0}'],
)
def test_a_start_that_cannot_be_used_is_said(client: TestClient, first: str) -> None:
    with client.websocket_connect("/api/live", headers=KEY) as socket:
        socket.send_text(first)
        assert json.loads(socket.receive_text())["type"] == "error"
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


@pytest.mark.parametrize("wrong", [b"\0", b"\0" * (LONGEST_MESSAGE + 2), "{", '{"type": "dance"}'])
def test_a_message_that_cannot_be_used_is_said_and_the_session_goes_on(
    client: TestClient, wrong: str | bytes
) -> None:
    with client.websocket_connect("/api/live", headers=KEY) as socket:
        socket.send_text(START)
        socket.receive_text()
        (socket.send_bytes if isinstance(wrong, bytes) else socket.send_text)(wrong)
        kinds = [socket.receive() for _ in range(6)]
    assert any(
        "text" in message and json.loads(message["text"])["type"] == "error"
        for message in kinds
        if message.get("text")
    )
    assert any(message.get("bytes") for message in kinds)


def test_the_page_and_its_files_are_there(client: TestClient) -> None:
    for address in ("/", "/live_main.js", "/live.js", "/style.css"):
        assert client.get(address).status_code == 200
    assert client.get("/api/live/portrait").status_code == 401
    assert client.get("/api/live/portrait", headers=KEY).headers["content-type"] == "image/jpeg"


def test_a_client_that_never_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        """Starts, then reads nothing and says nothing."""

        async def accept(self) -> None: ...

        async def close(self) -> None: ...

        async def receive_text(self) -> str:
            return START

        async def send_json(self, told: object) -> None: ...

        async def receive(self) -> None:
            await asyncio.Event().wait()

        async def send_bytes(self, message: bytes) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("echomimic.studio.live_socket.READ_PATIENCE", 0.05)
    face, sessions = prepare(EXAMPLE / "portrait.jpg", Settings(size=128)), Sessions(Sayer(None, None))  # type: ignore[arg-type]
    asyncio.run(asyncio.wait_for(sessions.serve(Silent(), lambda: face), 20))  # type: ignore[arg-type]
    assert sessions.open == 0


class Mute:
    """Says every letter as a hundred samples, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, question: dict[str, str], _: float) -> tuple[dict[str, object], bytes]:
        if question["do"] == "split":
            return {"sentences": question["text"].split("|")}, b""
        self.asked.append(question["text"])
        return {}, bytes(44) + b"\1\1" * (100 * len(question["text"]))


@pytest.fixture
def sayer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sayer:
    monkeypatch.setattr("echomimic.studio.saying.voice_ready", lambda: True)
    return Sayer(Mute(), tmp_path)  # type: ignore[arg-type]


def test_typed_text_is_pushed_sentence_by_sentence_then_ended(sayer: Sayer) -> None:
    face = prepare(EXAMPLE / "portrait.jpg", Settings(size=64))
    with Live(face, pace="none") as live:
        sayer.say(live, "one|three")
        frames = list(live)
    sound = np.concatenate([frame.sound for frame in frames])
    assert np.count_nonzero(sound) == 100 * len("onethree")
    assert frames[-1].last
    for wrong in ("", "  ", "x" * 5001):
        with pytest.raises(SpeechError, match="characters"):
            sayer.say(live, wrong)


def test_an_interruption_ends_a_text_between_sentences(sayer: Sayer, monkeypatch: pytest.MonkeyPatch) -> None:
    face = prepare(EXAMPLE / "portrait.jpg", Settings(size=64))
    with Live(face, pace="none") as live:
        push = live.push

        def talked_over(sound: bytes, rate: int, **more: int) -> None:
            push(sound, rate, **more)
            live.interrupt()

        monkeypatch.setattr(live, "push", talked_over)
        sayer.say(live, "one|two|three")
    assert sayer._child.asked == ["one", "two"]  # type: ignore[attr-defined]


def test_without_a_voice_typing_is_refused(client: TestClient) -> None:
    assert client.get("/api/live/facts", headers=KEY).json()["voice"] is False
    with client.websocket_connect("/api/live", headers=KEY) as socket:
        socket.send_text(START)
        assert json.loads(socket.receive_text())["voice"] is False
        socket.send_text('{"type": "say", "text": "hello"}')
        told = next(m["text"] for m in (socket.receive() for _ in range(20)) if m.get("text"))
    assert "pip install" in json.loads(told)["message"]
