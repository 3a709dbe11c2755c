from dataclasses import replace

import numpy as np
import pytest

from echomimic.motion.performance import Performance, at_rest, join


def moving(frames: int = 10) -> Performance:
    rng = np.random.default_rng(0)
    calm = at_rest(frames, 25.0, rng.standard_normal((3, 468, 3)).astype(np.float32))
    expression = rng.standard_normal((frames, 3)).astype(np.float32)
    return replace(calm, expression=expression, brow=np.arange(frames, dtype=np.float32))


def test_displacement_is_the_weighted_sum_of_the_basis() -> None:
    performance = moving()
    expected = sum(performance.expression[4, k] * performance.basis[k] for k in range(3))
    np.testing.assert_allclose(performance.displacement(4), expected, rtol=1e-5, atol=1e-6)
    assert performance.displacement(4).dtype == np.float32


def test_a_still_performance_moves_nothing() -> None:
    calm = at_rest(5, 30.0)
    assert len(calm) == 5
    assert calm.seconds == pytest.approx(5 / 30)
    assert not calm.displacement(0).any()


def test_cutting_and_joining_gives_back_the_whole() -> None:
    performance = moving()
    again = join([performance[:4], performance[4:]])
    np.testing.assert_array_equal(again.expression, performance.expression)
    np.testing.assert_array_equal(again.brow, performance.brow)


def test_performances_of_different_rate_do_not_join() -> None:
    with pytest.raises(ValueError, match="cannot be joined"):
        join([moving(), replace(moving(), fps=30.0)])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rotation", np.zeros((9, 3)), r"rotation has shape \(9, 3\); \(10, 3\) was expected"),
        ("basis", np.zeros((2, 468, 3)), "basis has shape"),
        ("brow", np.full(10, np.nan), "brow holds a value that is not finite"),
        ("expression", np.zeros(10), "expression has shape"),
        ("fps", 0.0, "fps is 0"),
    ],
)
def test_what_cannot_be_shown_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(moving(), **{name: value})  # type: ignore[arg-type]
