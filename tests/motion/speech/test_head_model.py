import numpy as np
import pytest

from echomimic.motion.speech.head_model import Liveliness, animate_head, sample


def life(seconds: float = 60.0, fps: float = 25.0, seed: int = 0, head: float = 1, blink: float = 1, gaze: float = 1):
    energy = np.clip(0.5 + 0.5 * np.sin(np.arange(int(seconds * 25) + 2) / 3), 0, 1).astype(np.float32)
    return animate_head(energy, int(seconds * fps), fps, seed, head, blink, gaze)


def tracks(value: Liveliness) -> np.ndarray:
    return np.concatenate(
        [value.rotation, value.translation, value.blink, value.gaze, value.brow[:, None], value.body], axis=1
    )


def test_it_starts_at_the_pose_of_the_portrait() -> None:
    first = life().rotation[0]
    assert np.abs(first).max() < 1e-6
    assert np.abs(life().translation[0]).max() < 1e-6


def test_it_stays_within_what_can_be_shown_and_stays_lively() -> None:
    value = life(seconds=600, head=2)
    assert (np.abs(value.rotation).max(0) <= (0.13, 0.17, 0.11)).all()
    halves = np.split(life(seconds=600).rotation, 2)
    for half in halves:
        assert (half.std(0) > 0.02).all()
        assert np.abs(half.mean(0)).max() < 0.03


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_motion() -> None:
    np.testing.assert_array_equal(tracks(life(seconds=8, seed=3)), tracks(life(seconds=8, seed=3)))
    assert np.abs(life(seconds=8, seed=3).rotation - life(seconds=8, seed=4).rotation).max() > 0.02


def test_the_head_moves_smoothly() -> None:
    turn = life(seconds=120).rotation
    speed = np.diff(turn, axis=0) * 25
    assert np.abs(speed).max() < 1.5
    assert np.abs(np.diff(turn, n=2, axis=0)).mean() < 0.45 * np.abs(np.diff(turn, axis=0)).mean()


def test_the_motion_does_not_depend_on_the_frame_rate() -> None:
    slow, fast = life(seconds=10, fps=25.0), life(seconds=10, fps=50.0)
    np.testing.assert_allclose(fast.rotation[::2], slow.rotation, atol=1e-5)
    np.testing.assert_allclose(fast.blink[::2], slow.blink, atol=1e-5)


def test_people_blink_ten_to_thirty_times_a_minute_and_close_faster_than_they_open() -> None:
    lid = life(seconds=600).blink[:, 0]
    shut = np.flatnonzero((lid[1:-1] > 0.9) & (lid[1:-1] >= lid[:-2]) & (lid[1:-1] > lid[2:])) + 1
    assert 10 <= len(shut) / 10 <= 30
    assert lid.min() >= 0
    assert lid.max() <= 1
    before, after = lid[shut - 2].mean(), lid[shut + 2].mean()
    assert before < after


def test_each_strength_of_zero_switches_its_part_off() -> None:
    assert not life(seconds=20, blink=0).blink.any()
    assert not life(seconds=20, gaze=0).gaze.any()
    calm = life(seconds=20, head=0)
    for part in (calm.rotation, calm.translation, calm.brow, calm.body):
        assert not part.any()


def test_more_blink_rate_means_more_blinks() -> None:
    often, seldom = (life(seconds=300, blink=rate).blink.mean() for rate in (2.0, 0.5))
    assert often > 1.8 * seldom


def test_eyes_turn_against_the_head() -> None:
    value = life(seconds=300)
    assert np.corrcoef(value.gaze[:, 0], value.rotation[:, 1])[0, 1] < -0.2


def test_cubic_sampling_passes_through_its_points() -> None:
    track = np.random.default_rng(0).standard_normal((9, 2))
    np.testing.assert_allclose(sample(track, np.arange(9.0)), track)
    assert sample(track, np.array([-1.0, 20.0])) == pytest.approx(track[[0, -1]])
