"""A live session over WebRTC, both ends in this process: sound in, face and sound out, texts, the end."""

import asyncio
import fractions
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the live page needs the extra `studio`")

from starlette.testclient import TestClient

from echomimic.live import prepare
from echomimic.media.audio import RATE, Speech
from echomimic.request import Settings
from echomimic.studio.live_app import make_live_app
from echomimic.studio.live_socket import MOST_SESSIONS, Sessions, rtc_ready
from echomimic.studio.problems import Refused
from echomimic.studio.saying import Sayer

EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
KEY = {"host": "127.0.0.1", "authorization": "Bearer secret"}
needs_rtc = pytest.mark.skipif(not rtc_ready(), reason="aiortc is not installed: WebRTC is not tested")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(
        make_live_app(EXAMPLE / "portrait.jpg", Settings(size=128), "secret"), base_url="http://127.0.0.1"
    ) as made:
        yield made


def test_an_offer_needs_the_token_the_package_and_to_be_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = {"sdp": "nothing", "type": "offer"}
    assert client.post("/api/live/offer", json=offer).status_code == 401
    unusable: tuple[Any, ...] = ({}, [], {"sdp": 1, "type": "offer"})
    for wrong in unusable:
        assert client.post("/api/live/offer", json=wrong, headers=KEY).status_code == 422
    if rtc_ready():
        assert client.post("/api/live/offer", json=offer, headers=KEY).status_code == 422
    monkeypatch.setattr("echomimic.studio.live_socket.rtc_ready", lambda: False)
    missing = client.post("/api/live/offer", json=offer, headers=KEY)
    assert missing.status_code == 424
    assert "webrtc" in missing.json()["error"]["remedy"]


@needs_rtc
def test_sound_goes_in_while_face_and_sound_come_out() -> None:
    face = prepare(EXAMPLE / "portrait.jpg", Settings(size=128))
    got = asyncio.run(asyncio.wait_for(_talk(Sessions(Sayer(None, None)), face), 60))  # type: ignore[arg-type]
    assert len(got["video"]) >= 30
    assert len({frame.to_ndarray().tobytes() for frame in got["video"]}) > 10, "the picture stands still"
    times = [frame.pts for frame in got["video"]]
    assert times == sorted(times)
    assert max(np.abs(frame.to_ndarray()).max() for frame in got["audio"]) > 1000
    assert "unknown" in json.loads(got["text"][0])["message"]
    assert got["open"] == [1, 0]


async def _talk(sessions: Sessions, face: Any) -> dict[str, list[Any]]:
    """What a browser does, until two seconds of pictures have come."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    got: dict[str, list[Any]] = {"video": [], "audio": [], "text": [], "open": []}
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(_microphone())
    peer.addTransceiver("video", direction="recvonly")
    channel = peer.createDataChannel("control")
    channel.on("open", lambda: channel.send('{"type": "dance"}'))
    channel.on("message", got["text"].append)
    takers: list[asyncio.Future[None]] = []
    peer.on("track", lambda track: takers.append(asyncio.ensure_future(_take(track, got[track.kind]))))
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type}
    answer = await sessions.connect(offer, lambda: face)
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    while len(got["video"]) < 50 or not got["text"]:
        await asyncio.sleep(0.1)
    got["open"].append(sessions.open)
    await peer.close()
    while sessions.open:
        await asyncio.sleep(0.1)
    got["open"].append(sessions.open)
    await sessions.end()
    return got


async def _take(track: Any, into: list[Any]) -> None:
    from aiortc.mediastreams import MediaStreamError

    try:
        while True:
            into.append(await track.recv())
    except MediaStreamError:
        return


def _microphone() -> Any:
    """A track that says the shipped speech, 20 ms every 20 ms."""
    from aiortc import MediaStreamTrack

    wave = np.tile((Speech.open(EXAMPLE / "speech.flac").read(0, 2 * RATE) * 32767).astype(np.int16), 20)

    class Microphone(MediaStreamTrack):  # type: ignore[misc, unused-ignore]
        kind, number = "audio", 0

        async def recv(self) -> Any:
            await asyncio.sleep(0.02)
            chunk = wave[self.number * 320 : (self.number + 1) * 320]
            frame = av.AudioFrame.from_ndarray(chunk[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = (
                RATE,
                self.number * 320,
                fractions.Fraction(1, RATE),
            )
            self.number += 1
            return frame

    return Microphone()


@needs_rtc
def test_too_many_are_refused_and_a_bad_offer_leaves_no_session() -> None:
    sessions, face = Sessions(Sayer(None, None)), prepare(EXAMPLE / "portrait.jpg", Settings(size=64))  # type: ignore[arg-type]

    async def tried() -> None:
        with pytest.raises(Refused, match="offer"):
            await sessions.connect({"sdp": "v=0", "type": "offer"}, lambda: face)
        assert sessions.open == 0
        sessions.open = MOST_SESSIONS
        with pytest.raises(Refused, match="run already"):
            await sessions.connect({"sdp": "v=0", "type": "offer"}, lambda: face)

    asyncio.run(tried())
