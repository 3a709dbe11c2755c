"""Group a: the official frame windows, exactly."""

import pytest

from echomimic.diffusion.windows import WindowPlan, reversed_fraction, uniform, uniform_windows
from echomimic.errors import SettingsError
from tests.parity import fixtures


def test_every_recorded_argument_set_gives_the_recorded_windows() -> None:
    recorded = fixtures.context()["uniform"]
    assert len(recorded) > 200
    for case in recorded:
        assert uniform(*case["args"]) == case["windows"], case["args"]


def test_the_order_of_shifts_is_official() -> None:
    for number, fraction in fixtures.context()["ordered_halving"].items():
        assert reversed_fraction(int(number)) == fraction


def test_what_official_refuses_is_refused() -> None:
    for case in fixtures.context()["raises"]:
        with pytest.raises(SettingsError):
            uniform(*case["args"])


LOOPS = [c for c in fixtures.cases("g") if "windows" in c and c["config"]["context_stride"] == 1]


@pytest.mark.parametrize("case", LOOPS, ids=lambda c: str(c["id"]))
def test_rotation_per_step_is_official(case: fixtures.Case) -> None:
    rotation = 2 if "audio" in case["id"] else 3
    plan = WindowPlan(case["config"]["requested_length"], rotation=rotation)
    for step, expected in enumerate(case["windows"]):
        assert [list(w.frames) for w in uniform_windows(plan, step)] == expected
