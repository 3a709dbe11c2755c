"""The life process: it falls back to rest, and heads go with the jaw."""

import numpy as np

from echomimic.motion.speech.life_model import HeadFollowing, LifeProcess, life_model


def test_the_process_always_falls_back_to_rest() -> None:
    memory = life_model().memory
    order, channels, _ = memory.shape
    companion = np.eye(order * channels, k=-channels)
    companion[:channels] = np.concatenate(list(memory), 1)
    assert np.abs(np.linalg.eigvals(companion)).max() < 0.999


def test_its_states_are_as_wide_after_minutes_as_at_first() -> None:
    process = LifeProcess(life_model(), np.random.default_rng(0))
    process.hear(np.full(4503, 0.5, np.float32))
    states = process.frames(0, 4500)
    early, late = states[250:1750].std(0), states[-1500:].std(0)
    assert (late < 3 * early).all()
    assert (late > early / 3).all()


def test_the_head_follows_the_jaw_later_and_softer() -> None:
    jaw = np.arange(1.0, 7.0)
    opened = np.zeros(40)
    opened[5:] = 1.0
    whole = HeadFollowing(jaw).push(opened)
    assert not whole[:5].any()
    assert (np.diff(whole[4:15, 0]) > 0).all()
    np.testing.assert_allclose(whole[-1], jaw, rtol=1e-6)
    parts = HeadFollowing(jaw)
    np.testing.assert_array_equal(np.concatenate([parts.push(opened[:7]), parts.push(opened[7:])]), whole)
