import copy
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomimic.motion.performance import Performance, join
from echomimic.motion.speech.log_mel import Level
from echomimic.motion.speech.stepper import Manner, Stepper
from tests.motion.sounds import RATE, vowels

SPEECH = vowels(1.6).wave


def fed(cuts: list[int], fps: float = 25.0, hop: int = 1, **manner: Any) -> Performance:
    stepper = Stepper(Manner(**manner), fps, seed=4, hop=hop)
    parts = [stepper.push(part) for part in np.split(SPEECH, sorted(cuts))]
    return join([*parts, stepper.end()])


def same(one: Performance, other: Performance) -> None:
    for field in fields(Performance):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


WHOLE = fed([])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, len(SPEECH)), max_size=12))
def test_the_chunks_in_which_speech_comes_change_nothing(cuts: list[int]) -> None:
    same(fed(cuts), WHOLE)


def test_a_longer_hop_changes_at_most_rounding() -> None:
    slow = Stepper(seed=4, hop=10, level=None)
    level = Stepper(seed=4).ear.level
    assert type(slow.ear.level) is type(level)
    fixed = [Stepper(seed=4, hop=hop, level=_Fixed()) for hop in (1, 10)]
    tracks = [join([stepper.push(SPEECH), stepper.end()]).expression[:40] for stepper in fixed]
    np.testing.assert_allclose(tracks[0], tracks[1], atol=1e-4)


class _Fixed:
    gain = 1.0

    def hear(self, mel: np.ndarray) -> Level:
        from echomimic.motion.speech.log_mel import Level

        return Level(-5.0, np.zeros(80, np.float32), -2.5, 1.0)


@pytest.mark.parametrize("fps", [5.0, 12.5, 24.0, 29.97, 60.0])
def test_there_is_a_frame_for_every_moment_of_the_speech(fps: float) -> None:
    assert len(fed([3000], fps=fps)) == int(np.ceil(1.6 * fps - 1e-6))


def test_frames_come_as_soon_as_the_look_ahead_is_heard() -> None:
    stepper = Stepper()
    made = sum(len(stepper.push(np.zeros(640, np.float32))) for _ in range(30))
    assert made == 31 - stepper.lookahead == stepper.frames


def test_its_state_can_be_kept_and_taken_up_again() -> None:
    stepper = Stepper(seed=4)
    first = stepper.push(SPEECH[:12345])
    kept = copy.deepcopy(stepper)
    stepper.push(np.ones(999, np.float32))
    same(join([first, kept.push(SPEECH[12345:]), kept.end()]), WHOLE)


def test_it_goes_on_living_between_two_utterances_without_a_jump() -> None:
    stepper = Stepper(seed=1)
    parts = [stepper.push(SPEECH), stepper.end(), stepper.idle(50), stepper.push(SPEECH), stepper.end()]
    whole = join(parts)
    assert len(parts[2]) == 50
    calm = parts[2].expression[25:] @ stepper.mouth.gap
    assert np.abs(calm).max() < 0.02
    assert parts[2].rotation.std(0).max() > 1e-4
    assert np.abs(np.diff(whole.rotation, axis=0)).max() < 0.03


def test_an_interruption_drops_what_was_not_worked_through() -> None:
    stepper = Stepper()
    stepper.push(SPEECH[:700])
    stepper.interrupt()
    assert stepper.samples == 640
    assert len(stepper.idle(3)) == 3


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        Stepper().push(np.array([np.nan], np.float32))
    with pytest.raises(ValueError, match="style 'wild' is unknown"):
        Manner(style="wild")


def test_samples_are_counted_at_16_kilohertz() -> None:
    stepper = Stepper()
    stepper.push(np.zeros(RATE, np.float32))
    stepper.end()
    assert stepper.frames == 25
