"""LiveKit's contract, with its own classes and no server:
order, ends, interruptions, playback, and no sound lost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "livekit.agents", reason="LiveKit Agents is not installed: pip install 'echomimic-studio[livekit]'"
)

import itertools

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarRunner, QueueAudioOutput

from echomimic.live import Live, LivePortrait, prepare
from echomimic.live.livekit import LiveAvatarSession, LiveVideoGenerator
from echomimic.media.audio import Speech
from echomimic.request import Settings

pytestmark = pytest.mark.filterwarnings("default")
EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
RATE = 24_000
CHUNK = 480
"""20 ms, as a text to speech sends them."""


@pytest.fixture(scope="module")
def face() -> LivePortrait:
    return prepare(EXAMPLE / "portrait.jpg", Settings(size=128))


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """0.6 s of speech, 24 kHz, 16 bits."""
    wave = Speech.open(EXAMPLE / "speech.flac").read(16_000, 16_000 + 9600)
    times = np.arange(round(0.6 * RATE)) * 16_000 / RATE
    return np.round(np.interp(times, np.arange(len(wave)), wave) * 32767).astype(np.int16)


async def say(push: Callable[[Any], Awaitable[None]], wave: np.ndarray) -> None:
    for start in range(0, len(wave), CHUNK):
        chunk = wave[start : start + CHUNK]
        await push(rtc.AudioFrame(chunk.tobytes(), RATE, 1, len(chunk)))


async def take(generator: LiveVideoGenerator, until: Callable[[list[Any]], bool]) -> list[Any]:
    got: list[Any] = []
    async for item in generator:
        got.append(item)
        if until(got):
            await generator.aclose()
    return got


def sounds(items: list[Any]) -> np.ndarray:
    return np.concatenate(
        [np.frombuffer(i.data, np.int16) for i in items if isinstance(i, rtc.AudioFrame)]
        or [np.zeros(0, np.int16)]
    )


def ends(items: list[Any]) -> int:
    return sum(isinstance(i, AudioSegmentEnd) for i in items)


def test_two_segments_come_out_whole_in_order_each_with_one_end(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    async def run() -> list[Any]:
        generator = LiveVideoGenerator(Live(face, sound_rate=RATE))
        for _ in range(2):
            await say(generator.push_audio, spoken)
            await generator.push_audio(AudioSegmentEnd())
        return await take(generator, lambda got: ends(got) == 2 and isinstance(got[-1], rtc.VideoFrame))

    items = asyncio.run(asyncio.wait_for(run(), 20))
    first = next(n for n, i in enumerate(items) if isinstance(i, AudioSegmentEnd))
    for part in (items[: first + 1], items[first + 1 :]):
        heard = sounds(part)[: len(spoken)].astype(int)
        assert np.abs(heard - spoken).max() <= 1, "sound was lost or changed"
        assert not sounds(part)[len(spoken) :].any()
    for before, item in itertools.pairwise(items):
        assert not isinstance(item, rtc.AudioFrame) or isinstance(before, rtc.VideoFrame), (
            "sound without its picture"
        )
    pictures = [i for i in items if isinstance(i, rtc.VideoFrame)]
    assert {(p.width, p.height, p.type) for p in pictures} == {(*face.size, rtc.VideoBufferType.RGB24)}
    assert not isinstance(items[-2], rtc.AudioFrame), "between utterances there is sound"


def test_after_clear_buffer_no_old_sound_comes_and_the_next_segment_is_whole(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    async def run() -> tuple[list[Any], int]:
        generator = LiveVideoGenerator(Live(face, sound_rate=RATE))
        await say(generator.push_audio, np.tile(spoken, 3))
        await generator.push_audio(AudioSegmentEnd())
        got: list[Any] = []
        cleared = 0
        async for item in generator:
            got.append(item)
            if not cleared and len(sounds(got)) > 3000:
                await generator.clear_buffer()
                cleared = len(got)
                await say(generator.push_audio, spoken)
                await generator.push_audio(AudioSegmentEnd())
            if cleared and isinstance(item, AudioSegmentEnd):
                await generator.aclose()
        return got, cleared

    items, cleared = asyncio.run(asyncio.wait_for(run(), 20))
    assert ends(items) == 1, "the segment that was interrupted has no end"
    after = sounds(items[cleared:])
    assert np.abs(after[: len(spoken)].astype(int) - spoken).max() <= 1
    assert not after[len(spoken) :].any()


class Room(rtc.EventEmitter[str]):
    """A room without a server."""

    def __init__(self) -> None:
        super().__init__()
        self.local_participant = self
        self.identity = "agent"
        self.published: list[Any] = []

    def isconnected(self) -> bool:
        return True

    async def publish_track(self, track: Any, options: Any) -> Any:
        self.published.append((track, options))
        return self

    async def wait_for_subscription(self) -> None:
        pass


class Listener:
    """What LiveKit's agent is told of the playback."""

    def __init__(self, sink: QueueAudioOutput) -> None:
        self.told: list[tuple[str, float, bool]] = []
        self.finished = asyncio.Event()
        sink.on("playback_started", lambda event: self.told.append(("started", 0.0, False)))
        sink.on("playback_finished", self._finish)

    def _finish(self, event: Any) -> None:
        self.told.append(("finished", round(event.playback_position, 2), event.interrupted))
        self.finished.set()


async def played(
    face: LivePortrait, waves: list[np.ndarray], interrupt_after: float | None
) -> tuple[Listener, Room, QueueAudioOutput]:
    generator, room = LiveVideoGenerator(Live(face, sound_rate=RATE)), Room()
    sink = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
    listener = Listener(sink)
    runner = AvatarRunner(room, audio_recv=sink, video_gen=generator, options=generator.options)  # type: ignore[arg-type]
    await runner.start()
    for number, wave in enumerate(waves):
        listener.finished.clear()
        await say(sink.capture_frame, wave)
        sink.flush()
        if interrupt_after is not None and number == 0:
            while not listener.told:
                await asyncio.sleep(0.01)
            await asyncio.sleep(interrupt_after)
            sink.clear_buffer()
        await listener.finished.wait()
        await asyncio.sleep(0.2)
    await generator.aclose()
    await runner.aclose()
    return listener, room, sink


def test_livekits_runner_publishes_both_tracks_and_hears_that_playback_began_and_ended(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    listener, room, _ = asyncio.run(asyncio.wait_for(played(face, [spoken, spoken], None), 30))
    assert listener.told == [("started", 0.0, False), ("finished", 0.6, False)] * 2
    assert len(room.published) == 2


def test_livekits_runner_hears_of_an_interruption_once(face: LivePortrait, spoken: np.ndarray) -> None:
    listener, _, _ = asyncio.run(asyncio.wait_for(played(face, [np.tile(spoken, 4), spoken], 0.3), 30))
    assert [(what, cut) for what, _, cut in listener.told] == [
        ("started", False),
        ("finished", True),
        ("started", False),
        ("finished", False),
    ]
    assert 0.2 < listener.told[1][1] < 1.5
    assert listener.told[3][1] == pytest.approx(0.6, abs=0.05)


def test_the_avatar_session_puts_itself_behind_the_agents_voice_and_leaves(face: LivePortrait) -> None:
    class Output:
        sink: Any = None

        def replace_audio_tail(self, sink: Any) -> None:
            self.sink = sink

    class Agent(rtc.EventEmitter[str]):
        def __init__(self) -> None:
            super().__init__()
            self.output = Output()

    async def run() -> tuple[Agent, str]:
        agent, room, session = Agent(), Room(), LiveAvatarSession(face)
        room.remote_participants = {}  # type: ignore[attr-defined]
        await session.start(agent, room)  # type: ignore[arg-type]
        identity = session.avatar_identity
        await session.aclose()
        await session.aclose()
        return agent, identity

    agent, identity = asyncio.run(asyncio.wait_for(run(), 20))
    assert isinstance(agent.output.sink, QueueAudioOutput)
    assert identity == "agent"
