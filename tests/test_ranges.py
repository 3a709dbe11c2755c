"""Every number a user can give, at both ends of its range and one step beyond;
and what depends on another option."""

from typing import Any

import numpy as np
import pytest

from echomimic.errors import SettingsError
from echomimic.option import check_number, options
from echomimic.request import Request, Settings

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "expressiveness": (0, 2),
    "head_motion": (0, 2),
    "blink_rate": (0, 4),
    "gaze": (0, 2),
    "fps": (5, 100),
    "length": (0, 1_000_000),
    "width": (64, 2160),
    "height": (64, 2160),
    "size": (64, 2160),
    "label_seconds": (0, 3600),
    "label_size": (0.05, 0.25),
    "cfg": (0, 10),
    "steps": (1, 100),
    "sample_rate": (8000, 48000),
    "facemask_ratio": (0, 1),
    "facecrop_ratio": (0, 1),
    "context_frames": (0, 50),
    "context_overlap": (0, 10),
    "windows_at_once": (0, 16),
}
"""Part of the interface: narrowing one breaks somebody's script."""

DEFAULTS: dict[str, Any] = {
    "expressiveness": 1.0,
    "head_motion": 1.0,
    "blink_rate": 1.0,
    "gaze": 1.0,
    "length": 0,
    "label": "none",
    "label_seconds": 0.0,
    "label_size": 0.05,
    "seed": 0,
    "facemask_ratio": 0.1,
    "facecrop_ratio": 0.8,
    "context_frames": 12,
    "context_overlap": 3,
    "windows_at_once": 0,
    "paste_back": False,
    "sign": False,
    "faithful": False,
    "resume": True,
}


def refusal(**given: Any) -> str:
    with pytest.raises(SettingsError) as fault:
        Settings(**given)
    return str(fault.value)


def request(**given: Any) -> Request:
    return Request("face.png", "speech.wav", "out.mp4", **given)  # type: ignore[arg-type]


def test_no_number_is_missing_here() -> None:
    numbers = {o.name: (o.low, o.high) for o in options(Settings) if o.type in (int, float)}
    assert numbers == RANGES


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_are_taken_and_what_lies_beyond_is_not(name: str) -> None:
    low, high = RANGES[name]
    kind = {o.name: o.type for o in options(Settings)}[name]
    step = 1 if kind is int else 1e-6
    # windows are bounded by each other too: 32 positions, and an overlap smaller than the window
    extra = {"context_frames": 32} if name == "context_overlap" else {}
    top = 32 if name == "context_frames" else high
    for value in (low, top):
        given = Settings(**extra | {name: value})  # type: ignore[arg-type]
        assert getattr(given, name) == value
    for value in (low - step, high + step):
        says = refusal(**extra | {name: value})
        assert f"{name} {value} is out of range; choose {low} to {high}" in says


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name: str) -> None:
    assert getattr(Settings(), name) == DEFAULTS[name]


@pytest.mark.parametrize("face", [0, 99])
def test_faces_are_counted_from_0_to_99(face: int) -> None:
    assert request(face=face).face == face
    with pytest.raises(SettingsError, match="choose 0 to 99"):
        request(face=face + 1 if face else -1)


def test_windows() -> None:
    assert Settings(context_frames=4, context_overlap=3).context_overlap == 3
    assert "context_overlap 4 must be smaller than context_frames 4" in refusal(
        context_frames=4, context_overlap=4
    )
    assert "too long" in refusal(context_frames=33)
    assert Settings(model="v1", context_frames=0, context_overlap=9).resolved().context_frames == 12
    assert Settings(model="v1", context_frames=7).resolved().context_frames == 7


@pytest.mark.parametrize("side", ["width", "height"])
def test_a_size_is_one_number_or_two(side: str) -> None:
    assert "give either size or width and height" in refusal(size=512, **{side: 512})
    assert getattr(Settings(**{side: 512}), side) == 512  # type: ignore[arg-type]


def test_pasting_back_needs_the_head() -> None:
    assert "paste_back needs crop head" in refusal(paste_back=True)
    assert Settings(paste_back=True, crop="head").paste_back
    assert Settings(paste_back=True, model="v1").paste_back


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (0.1, False), (1.9, False), (2, True), (3, True)])
def test_the_chinese_label_shows_for_two_seconds(seconds: float, taken: bool) -> None:
    if taken:
        assert Settings(label="cn", label_seconds=seconds).label_seconds == seconds
    else:
        assert "at least 2 seconds" in refusal(label="cn", label_seconds=seconds)
    assert Settings(label="eu", label_seconds=seconds).label_seconds == seconds


def test_an_empty_label_is_refused() -> None:
    assert "no letters in it" in refusal(label="  ")


@pytest.mark.parametrize(
    ("value", "nearest"),
    [(128, None), (1024, None), (136, None), (129, 128), (500, 496), (1023, 1024), (501, 504)],
)
@pytest.mark.parametrize("side", ["width", "height", "size"])
def test_sizes_of_v1(side: str, value: int, nearest: int | None) -> None:
    step = Settings(model="v1").variant.sizes[2]
    if value % step == 0:
        assert getattr(Settings(model="v1", **{side: value}), side) == value  # type: ignore[arg-type]
        return
    near = max(128, min(1024, round(value / step) * step))
    assert f"choose {near}, the nearest" in refusal(model="v1", **{side: value})
    assert abs(near - value) <= step / 2
    assert nearest is None or step != 8 or near == nearest


@pytest.mark.parametrize("value", [120, 1032])
def test_sizes_that_v1_cannot_make(value: int) -> None:
    assert f"width {value} is out of range for v1; choose 128 to 1024 pixels" in refusal(
        model="v1", width=value
    )


@pytest.mark.parametrize("name", ["fps", "cfg", "steps"])
def test_zero_and_one_are_not_taken_for_nothing(name: str) -> None:
    given = {"fps": 5, "cfg": 0, "steps": 1}[name]
    assert getattr(Settings(model="v2", **{name: given}).resolved(), name) == given  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "whole", "says"),
    [
        (True, False, "takes a number, not True; choose 0 to 2 s"),
        ("1", False, "takes a number, not '1'"),
        (1.5, True, "takes a whole number, not 1.5; choose 0 to 2 s"),
        (float("nan"), True, "takes a whole number, not nan"),
        (-0.1, False, "gap -0.1 is out of range; choose 0 to 2 s"),
        (2.1, False, "gap 2.1 is out of range"),
    ],
)
def test_one_number(value: Any, whole: bool, says: str) -> None:
    with pytest.raises(SettingsError) as fault:
        check_number("gap", value, 0, 2, whole=whole, unit="s")
    assert says in str(fault.value)


def test_numbers_in_range_come_back_as_their_type() -> None:
    assert [type(check_number("gap", 2, 0, 2, whole=whole)) for whole in (True, False)] == [int, float]
    assert check_number("gap", 1e9, 0, None) == 1e9
    for value in (-1, float("inf"), np.float32("inf"), 10**400):
        for whole in (True, False):
            with pytest.raises(SettingsError, match="choose 0 or more"):
                check_number("gap", value, 0, None, whole=whole)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"weights": ""}, "weights is '', which names no file"),
        ({"weights": 3}, "weights is 3, which names no file"),
        ({"label": 3}, "label takes a text, not 3"),
        ({"sign": 1}, "sign takes true or false, not 1"),
        ({"crop": "feet"}, "crop 'feet' is unknown; choose one of none, head"),
        ({"seed": None}, "seed takes a whole number, not None"),
    ],
)
def test_things_that_are_no_numbers(given: dict[str, Any], says: str) -> None:
    assert says in refusal(**given)
    assert Settings(weights=None).weights is None
