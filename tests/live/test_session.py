"""A live session: any chunking gives the same frames, no sound is lost,
interruptions are heeded, bad input named."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echomimic.errors import NoFaceError, SpeechError
from echomimic.live import Live, LiveFrame, LivePortrait, prepare
from echomimic.live.sound import as_mono
from echomimic.media.audio import RATE, Speech
from echomimic.request import Settings

EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"


@pytest.fixture(scope="module")
def face() -> LivePortrait:
    return prepare(EXAMPLE / "portrait.jpg", Settings(size=128))


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """1.2 s of speech, 16 kHz."""
    return Speech.open(EXAMPLE / "speech.flac").read(RATE, RATE + round(1.2 * RATE))


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def said(face: LivePortrait, chunks: list[np.ndarray], rate: int = RATE) -> list[LiveFrame]:
    live = Live(face, pace="none", sound_rate=RATE)
    for chunk in chunks:
        live.push(chunk, rate)
    live.end()
    return list(live)


def parts(wave: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    cuts = [c for c in np.cumsum(sizes).tolist() if c < len(wave)]
    return np.split(wave, cuts)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(16, 32_000), min_size=1, max_size=60),
    rate=st.sampled_from([8000, 16_000, 44_100]),
)
def test_any_chunking_of_the_same_sound_gives_the_same_frames_and_sound(
    face: LivePortrait, spoken: np.ndarray, sizes: list[int], rate: int
) -> None:
    wave = spoken[:8000]
    whole, cut = said(face, [wave], rate), said(face, parts(wave, sizes), rate)
    assert len(whole) == len(cut) == int(np.ceil(len(wave) / rate * 25 - 1e-6))
    assert all((a.picture == b.picture).all() for a, b in zip(whole, cut, strict=True))
    assert np.array_equal(np.concatenate([f.sound for f in whole]), np.concatenate([f.sound for f in cut]))


def test_every_sample_comes_out_with_its_frame(face: LivePortrait, spoken: np.ndarray) -> None:
    frames = said(face, [spoken])
    sound = np.concatenate([f.sound for f in frames])
    assert np.array_equal(sound[: len(spoken)], spoken)
    assert not sound[len(spoken) :].any()
    assert [f.number for f in frames] == list(range(30))
    assert [round(f.time * 25) for f in frames] == list(range(30))
    assert [f.last for f in frames] == [False] * 29 + [True]
    assert len({f.picture.tobytes() for f in frames}) > 20, "the face does not move"


def test_two_utterances_follow_each_other_without_a_gap(face: LivePortrait, spoken: np.ndarray) -> None:
    live = Live(face, pace="none", sound_rate=RATE)
    for _ in range(2):
        live.push(spoken, RATE)
        live.end()
    frames = list(live)
    assert sum(f.last for f in frames) == 2
    sound = np.concatenate([f.sound for f in frames])
    second = next(
        i for i in range(len(spoken), len(sound)) if np.array_equal(sound[i : i + 400], spoken[:400])
    )
    assert second == len(spoken)
    assert np.array_equal(sound[second : second + len(spoken)], spoken)


@pytest.mark.parametrize("form", ["bytes", "stereo", "opposite", "float64", "list-like"])
def test_sound_of_every_form_is_the_same_sound(face: LivePortrait, spoken: np.ndarray, form: str) -> None:
    coarse = np.round(spoken[:6400] * 32767).astype(np.int16)
    exact = coarse.astype(np.float32) / 32768
    live = Live(face, pace="none", sound_rate=RATE)
    if form == "bytes":
        live.push(coarse.tobytes(), RATE)
    elif form == "stereo":
        live.push(np.repeat(coarse, 2).tobytes(), RATE, channels=2)
    elif form == "opposite":
        live.push(np.stack([exact, -exact]), RATE)
    elif form == "float64":
        live.push(exact.astype(np.float64), RATE)
    else:
        live.push(np.stack([exact, exact]), RATE)
    live.end()
    assert np.allclose(np.concatenate([f.sound for f in live]), exact, atol=1e-6)


@pytest.mark.parametrize("loud", [1e30, 1e200, 1e308])
def test_wild_samples_are_cut_off_and_a_constant_hides_no_channel(loud: float, spoken: np.ndarray) -> None:
    assert as_mono(np.array([loud, -loud, 0.5]), RATE).tolist() == [1.0, -1.0, 0.5]
    assert as_mono(np.array([[loud, -loud, 0.5]] * 2), RATE).tolist() == [1.0, -1.0, 0.5]
    voice = spoken[:1600] * 0.5
    assert np.allclose(as_mono(np.stack([voice + 0.3, 0.3 - voice]), RATE), voice + 0.3)


@pytest.mark.parametrize(
    ("pcm", "rate", "channels"),
    [
        (np.array([0.0, np.nan]), RATE, 1),
        (np.array([np.inf]), RATE, 1),
        (b"\0\0\0", RATE, 1),
        (b"\0\0", RATE, 2),
        (b"\0\0", RATE, 3),
        (b"\0\0", 7999, 1),
        (b"\0\0", 96_000, 1),
        (b"\0\0", True, 1),
        (np.zeros((2, 2, 2)), RATE, 1),
        (np.array(["x"]), RATE, 1),
    ],
)
def test_a_chunk_that_cannot_be_used_is_named_and_the_session_goes_on(
    face: LivePortrait, spoken: np.ndarray, pcm: object, rate: int, channels: int
) -> None:
    live = Live(face, pace="none", sound_rate=RATE)
    live.push(spoken[:1600], RATE)
    with pytest.raises(SpeechError, match="send"):
        live.push(pcm, rate, channels)  # type: ignore[arg-type]
    live.push(spoken[1600:3200], RATE)
    live.end()
    assert np.array_equal(np.concatenate([f.sound for f in live])[:3200], spoken[:3200])


def test_a_rate_that_changes_midway_keeps_all_sound(face: LivePortrait) -> None:
    live = Live(face, pace="none", sound_rate=RATE)
    for rate in (16_000, 24_000, 48_000):
        live.push(np.sin(2 * np.pi * 220 * np.arange(rate // 2) / rate).astype(np.float32) * 0.5, rate)
    live.end()
    sound = np.concatenate([f.sound for f in live])
    assert abs(np.flatnonzero(np.abs(sound) > 0.05)[-1] - 1.5 * RATE) < 200


def test_an_interruption_stops_sound_and_mouth_within_two_frames_and_the_next_utterance_is_whole(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    live = Live(face, pace="none", sound_rate=RATE)
    live.push(spoken, RATE)
    frames = iter(live)
    for _ in range(10):
        next(frames)
    live.interrupt()
    live.push(spoken[:8000], RATE)
    live.end()
    rest = list(frames)
    sound = np.concatenate([f.sound for f in rest])
    loud = np.flatnonzero(np.abs(sound) > 1e-4)
    start = next(i for i in range(len(sound) - 400) if np.array_equal(sound[i : i + 400], spoken[:400]))
    assert loud[loud < start].max(initial=0) <= 3 * RATE / 25, "old sound went on"
    assert np.array_equal(sound[start : start + 8000], spoken[:8000])


def test_between_utterances_it_lives_by_the_clock(face: LivePortrait) -> None:
    clock = Clock()
    live = Live(face, clock=clock)
    frames = iter(live)
    seen = []
    for _ in range(50):
        seen.append(next(frames))
        clock.now += 0.04
    live.close()
    assert not any(f.speaking or f.repeated or f.sound.any() for f in seen)
    assert len({f.picture.tobytes() for f in seen}) > 25, "it stands still"
    assert {len(f.sound) for f in seen} == {960}


def test_no_frame_leaves_before_its_time(face: LivePortrait, spoken: np.ndarray) -> None:
    clock = Clock()
    live = Live(face, clock=clock)
    frames = iter(live)
    next(frames)
    got: list[LiveFrame] = []
    taker = threading.Thread(target=lambda: got.append(next(frames)))
    live.push(spoken, RATE)
    taker.start()
    time.sleep(0.1)
    early = list(got)
    clock.now += 0.04
    taker.join(5)
    live.close()
    assert early == []
    assert len(got) == 1


def test_behind_the_clock_pictures_are_repeated_and_no_sound_is_lost(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    clock = Clock()
    live = Live(face, clock=clock, sound_rate=RATE)
    live.push(spoken, RATE)
    live.end()
    frames = iter(live)
    seen: list[LiveFrame] = []
    for number in range(40):
        seen.append(next(frames))
        drawing = 0.5 if number == 5 else 0.001 if seen[-1].repeated else 0.02
        clock.now = max(clock.now + drawing, 100 + (number + 1) * 0.04)
    live.close()
    late = [f.number for f in seen if f.repeated]
    assert 5 <= len(late) <= 20
    assert not any(f.repeated for f in seen[25:]), "it did not recover within a second"
    sound = np.concatenate([f.sound for f in seen])
    start = next(i for i in range(len(sound) - 400) if np.array_equal(sound[i : i + 400], spoken[:400]))
    assert np.array_equal(sound[start : start + len(spoken)], spoken)


def test_async_iteration_and_closing_from_elsewhere(face: LivePortrait, spoken: np.ndarray) -> None:
    async def run() -> int:
        live, count = Live(face), 0
        live.push(spoken, RATE)
        async for _frame in live:
            count += 1
            if count == 5:
                live.close()
        return count

    assert asyncio.run(asyncio.wait_for(run(), 20)) == 5


def test_ten_minutes_may_wait_and_more_waits_for_room(face: LivePortrait) -> None:
    live = Live(face, pace="none")
    for _ in range(11):
        live.push(np.zeros(60 * 8000, np.int16), 8000)
    over = threading.Thread(target=live.push, args=(np.zeros(8000, np.int16), 8000), daemon=True)
    over.start()
    over.join(0.2)
    assert over.is_alive()
    live.close()
    over.join(5)
    assert not over.is_alive()


def test_the_way_into_and_out_of_speech_has_no_jump(face: LivePortrait, spoken: np.ndarray) -> None:
    from echomimic.live.speaker import Speaker
    from echomimic.motion.speech.stepper import Stepper

    speaker = Speaker(Stepper(), RATE)
    shapes, talking = [], []
    for utterance in (None, spoken, None, spoken, None):
        for _ in range(30):
            if utterance is None:
                speaker.idle()
        if utterance is not None:
            speaker.hear(utterance, RATE)
            speaker.finish()
        while (act := speaker.take()) is not None:
            shapes.append(act.performance.displacement(0))
            talking.append(act.speaking)
    steps = np.linalg.norm(np.diff(np.array(shapes), axis=0), axis=-1).max(-1)
    within = steps[np.array(talking[1:]) & np.array(talking[:-1])]
    assert steps.max() <= 2 * np.percentile(within, 99)


def test_a_hiccup_longer_than_the_patience_loses_no_sound_and_marks_what_is_said(
    face: LivePortrait, spoken: np.ndarray
) -> None:
    live = Live(face, sound_rate=RATE)
    parted = [spoken[:5000], spoken[5000:12_000]]
    frames = iter(live)
    seen: list[LiveFrame] = []
    live.push(parted[0], RATE)
    while not seen or not seen[-1].last:
        seen.append(next(frames))
        if len(seen) == 32:  # 1.28 s: the pause was longer than the patience
            live.push(parted[1], RATE)
            live.end()
    live.close()
    sound = np.concatenate([f.sound for f in seen])
    starts = [
        next(i for i in range(len(sound) - 400) if np.array_equal(sound[i : i + 400], part[:400]))
        for part in parted
    ]
    for start, part in zip(starts, parted, strict=True):
        assert np.array_equal(sound[start : start + len(part)], part)
        assert all(f.speaking for f in seen[start * 25 // RATE : (start + len(part) - 1) * 25 // RATE])
    assert starts[1] - starts[0] > len(parted[0]) + 0.2 * RATE
    assert not any(f.speaking for f in seen[: starts[0] * 25 // RATE])
    assert sum(f.last for f in seen) == 1


def test_push_does_not_wait_for_the_nets(
    face: LivePortrait, spoken: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from echomimic.live.speaker import Speaker

    working, go_on, work = threading.Event(), threading.Event(), Speaker.work

    def slow(speaker: Speaker) -> None:
        working.set()
        go_on.wait(10)
        work(speaker)

    monkeypatch.setattr(Speaker, "work", slow)
    live = Live(face, pace="none")
    live.push(spoken, RATE)
    taker = threading.Thread(target=lambda: next(iter(live)), daemon=True)
    taker.start()
    assert working.wait(10)
    pusher = threading.Thread(target=live.push, args=(spoken, RATE), daemon=True)
    pusher.start()
    pusher.join(2)
    waits = pusher.is_alive()
    go_on.set()
    taker.join(10)
    live.close()
    assert not waits


def test_a_portrait_without_a_face_is_refused_before_anything_starts(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (256, 256), "grey").save(tmp_path / "grey.png")
    before = threading.active_count()
    for portrait in (tmp_path / "grey.png", np.full((256, 256, 3), 128, np.uint8)):
        with pytest.raises(NoFaceError, match="no face was found"):
            Live(portrait)
    assert threading.active_count() <= before
