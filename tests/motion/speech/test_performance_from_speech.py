from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from echomimic.motion.performance import Performance
from echomimic.motion.speech.log_mel import FRAME_RATE
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.motion.speech.performance_from_speech import mouth_track, perform
from tests.motion.sounds import RATE, Sound, silence, vowels


def opening(performance: Performance) -> np.ndarray:
    return performance.expression @ mouth_model().gap


def test_the_mouth_follows_the_speech_and_rests_in_its_pauses() -> None:
    loud = vowels(2.0).wave
    speech = Sound(np.concatenate([np.zeros(RATE), loud, np.zeros(RATE)]).astype(np.float32))
    gap = opening(perform(speech, 100, 25.0))
    assert np.abs(gap[:18]).max() < 0.01
    assert np.abs(gap[-15:]).max() < 0.03  # lips stay a little parted and close by and by
    assert gap[-1] < 0.6 * gap[-15]
    assert gap[25:75].max() > 0.08


def test_the_same_inputs_give_the_same_bits_and_the_seed_gives_another_take() -> None:
    speech = vowels(3.0)
    one, same, other = (perform(speech, 75, 25.0, seed=seed) for seed in (1, 1, 2))
    for field in fields(Performance):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(same, field.name))
    assert not np.array_equal(one.rotation, other.rotation)
    lips = opening(one), opening(other)
    assert not np.array_equal(*lips), "chance leaves the mouth as it was"
    assert np.corrcoef(*lips)[0, 1] > 0.8, "the speech no longer leads the lips"


def test_a_style_changes_how_much_of_a_speaker_it_is() -> None:
    speech = vowels(6.0)
    calm, natural, lively = (
        perform(speech, 150, 25.0, style=style) for style in ("calm", "natural", "lively")
    )
    tracks: tuple[Callable[[Performance], float], ...] = (
        lambda p: p.rotation.std(),
        lambda p: np.diff(opening(p)).std(),
    )
    for track in tracks:
        assert track(calm) < track(natural) < track(lively)
    with pytest.raises(ValueError, match="calm, natural, lively"):
        perform(speech, 150, 25.0, style="loud")


@pytest.mark.parametrize("fps", [5.0, 24.0, 29.97, 60.0, 100.0])
def test_any_frame_rate_shows_the_same_mouth(fps: float) -> None:
    speech = vowels(3.0)
    frames = int(3 * fps)
    reference, gap = opening(perform(speech, 75, 25.0)), opening(perform(speech, frames, fps))
    assert len(gap) == frames
    at = np.arange(frames) / fps
    assert np.abs(gap - np.interp(at, np.arange(75) / 25, reference)).max() < 0.04


@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_short_speech_and_silence_work(seconds: float) -> None:
    frames = max(1, int(seconds * 25))
    assert len(perform(vowels(seconds), frames, 25.0)) == frames
    calm = perform(silence(seconds), frames, 25.0)
    assert np.abs(opening(calm)).max() < 0.01


def test_more_frames_than_sound_end_at_rest() -> None:
    assert np.abs(opening(perform(vowels(1.0), 100, 25.0))[50:]).max() < 0.01


def test_expressiveness_opens_the_mouth_further_but_not_without_limit() -> None:
    speech = vowels(2.0)
    off, usual, most = (perform(speech, 50, 25.0, expressiveness=value) for value in (0.0, 1.0, 2.0))
    assert not off.expression.any()
    assert 1.3 * opening(usual).max() < opening(most).max() < 0.5


def test_lips_meet_where_the_net_hears_m_b_or_p() -> None:
    model, frames = mouth_model(), 50
    shapes = np.tile(0.12 * model.opening, (frames, 1))
    shapes *= 1 + 0.8 * np.sin(np.arange(frames) / 2)[:, None]
    cues = np.zeros((frames, 3), np.float32)
    cues[20:22, 0] = 0.9
    gap = mouth_track(model, shapes.astype(np.float32), cues, np.ones(frames, np.float32)) @ model.gap
    assert gap[20:22].max() < 0.005
    assert gap[10:40].max() > 0.1


def test_no_jitter_the_mouth_moves_as_fast_as_real_ones() -> None:
    gap = opening(perform(vowels(8.0), 8 * FRAME_RATE, float(FRAME_RATE)))
    assert np.abs(np.diff(gap)).mean() * FRAME_RATE < 1.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 3.0}, "fps 3.0 is out of range; choose 5"),
        ({"frames": 0}, "frames 0 is out of range; choose 1 or more"),
        ({"gaze": 2.5}, "out of range"),
        ({"blink_rate": -1.0}, "out of range"),
        ({"blink_rate": 4.01}, "choose 0 to 4"),
        ({"gaze": float("nan")}, "gaze takes a number, not nan; choose 0 to 2"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    options: dict[str, Any] = {"frames": 10, "fps": 25.0} | change
    with pytest.raises(ValueError, match=message):
        perform(vowels(1.0), **options)
