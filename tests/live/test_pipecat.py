"""Pipecat's contract, with its own pipeline and no transport:
order, times, ends, interruptions, and no sound lost."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "pipecat.frames.frames", reason="Pipecat is not installed: pip install 'echomimic-studio[pipecat]'"
)

import itertools

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from echomimic.live import LivePortrait, prepare
from echomimic.live.pipecat import LiveFaceProcessor
from echomimic.media.audio import Speech
from echomimic.request import Settings

pytestmark = pytest.mark.filterwarnings("default")
EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
RATE = 24_000


@pytest.fixture(scope="module")
def face() -> LivePortrait:
    return prepare(EXAMPLE / "portrait.jpg", Settings(size=128))


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """0.6 s of speech, 24 kHz, 16 bits."""
    wave = Speech.open(EXAMPLE / "speech.flac").read(16_000, 16_000 + 9600)
    times = np.arange(round(0.6 * RATE)) * 16_000 / RATE
    return np.round(np.interp(times, np.arange(len(wave)), wave) * 32767).astype(np.int16)


def said(wave: np.ndarray, context: str) -> list[Frame]:
    chunks = [
        TTSAudioRawFrame(w.tobytes(), RATE, 1, context_id=context) for w in np.split(wave, len(wave) // 480)
    ]
    return [TTSStartedFrame(context_id=context), *chunks, TTSStoppedFrame(context_id=context)]


def passed(face: LivePortrait, frames: list[Frame]) -> list[Frame]:
    async def run() -> list[Frame]:
        processor = LiveFaceProcessor(face)
        await processor.begin()
        down, _ = await run_test(processor, frames_to_send=frames, start_timeout=10)
        return list(down)

    return asyncio.run(asyncio.wait_for(run(), 40))


def sounds(frames: list[Frame]) -> np.ndarray:
    parts = [np.frombuffer(f.audio, np.int16) for f in frames if isinstance(f, TTSAudioRawFrame)]
    return np.concatenate(parts or [np.zeros(0, np.int16)])


def test_two_utterances_come_out_whole_with_their_pictures_and_one_stop_each(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    down = passed(face, [*said(spoken, "a"), *said(spoken, "b"), TextFrame("passes")])
    stops = [n for n, f in enumerate(down) if isinstance(f, TTSStoppedFrame)]
    assert [down[n].context_id for n in stops] == ["a", "b"]
    for part, context in ((down[: stops[0]], "a"), (down[stops[0] : stops[1]], "b")):
        assert np.abs(sounds(part)[: len(spoken)].astype(int) - spoken).max() <= 1
        assert not sounds(part)[len(spoken) :].any()
        assert {f.context_id for f in part if isinstance(f, TTSAudioRawFrame)} == {context}
    for before, frame in itertools.pairwise(down):
        assert not isinstance(frame, TTSAudioRawFrame) or isinstance(before, OutputImageRawFrame)
    images = [f for f in down if isinstance(f, OutputImageRawFrame)]
    assert all(i.sync_with_audio and i.format == "RGB" and i.size == face.size for i in images)
    times = [i.pts or 0 for i in images]
    assert set(np.diff(times)) == {40_000_000}
    assert any(isinstance(f, TextFrame) for f in down)


def test_an_interruption_ends_old_sound_at_once_and_the_next_utterance_is_whole(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    frames = [*said(np.tile(spoken, 4), "old"), SleepFrame(1.2), InterruptionFrame(), SleepFrame(0.1)]
    down = passed(face, [*frames, *said(spoken, "new")])
    cut = next(n for n, f in enumerate(down) if isinstance(f, InterruptionFrame))
    assert sounds(down[:cut]).any()
    assert {f.context_id for f in down[cut:] if isinstance(f, TTSAudioRawFrame)} == {"new"}
    assert np.abs(sounds(down[cut:])[: len(spoken)].astype(int) - spoken).max() <= 1
    assert [f.context_id for f in down if isinstance(f, TTSStoppedFrame)] == ["new"]


def test_a_stop_without_sound_passes_and_bad_sound_is_reported(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    down = passed(
        face, [TTSStoppedFrame(context_id="none"), TTSAudioRawFrame(b"\0\0\0", RATE, 1), *said(spoken, "a")]
    )
    assert [f.context_id for f in down if isinstance(f, TTSStoppedFrame)] == ["none", "a"]
    assert np.abs(sounds(down)[: len(spoken)].astype(int) - spoken).max() <= 1
