"""The visible label: legible on any background, as large and as long as asked for."""

import numpy as np
import pytest

from echomimic.errors import SettingsError
from echomimic.provenance.label import Label, make_label
from echomimic.request import Settings


def label(width: int = 512, height: int = 512, **options: object) -> Label:
    made = make_label(Settings(**{"label": "eu", **options}), width, height, 25.0, 100)  # type: ignore[arg-type]
    assert made is not None
    return made


def luminance(colour: np.ndarray) -> float:
    """WCAG 2.2's relative luminance of an RGB colour 0…255."""
    c = colour / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("seed", range(20))
def test_letters_stand_out_on_any_background(seed: int) -> None:
    made, colour = label(), np.random.default_rng(seed).integers(0, 256, 3)
    background = np.full((512, 512, 3), 255 if seed == 0 else colour, np.uint8)
    left, top, right, bottom = made.box
    box = made.draw(background, 0)[top:bottom, left:right].reshape(-1, 3)
    inside = made.letters.reshape(-1)
    ink, ground = box[inside == 1].mean(0), box[inside == 0].mean(0)
    assert (luminance(ink) + 0.05) / (luminance(ground) + 0.05) >= 4.5


@pytest.mark.parametrize(("width", "height"), [(512, 512), (256, 384), (768, 320)])
@pytest.mark.parametrize("text", ["eu", "cn", "I"])
def test_letters_are_at_least_a_twentieth_of_the_shorter_side(width: int, height: int, text: str) -> None:
    rows = np.flatnonzero((label(width, height, label=text).letters[..., 0] > 0.5).any(1))
    assert rows[-1] - rows[0] + 1 >= 0.05 * min(width, height) - 1


@pytest.mark.parametrize(("seconds", "frames"), [(0, 100), (2, 50), (0.1, 2), (30, 100)])
def test_exactly_the_frames_asked_for_are_labelled(seconds: float, frames: int) -> None:
    made, plain = label(label_seconds=seconds), np.full((512, 512, 3), 90, np.uint8)
    assert [bool((made.draw(plain, i) != plain).any()) for i in range(100)] == [
        i < frames for i in range(100)
    ]


def test_nothing_outside_the_box_changes_and_it_lies_in_its_corner() -> None:
    plain = np.full((512, 512, 3), 90, np.uint8)
    for place in ("top-left", "top-right", "bottom-left", "bottom-right"):
        changed = np.argwhere((label(label_place=place).draw(plain, 0) != plain).any(-1))
        (top, left), (bottom, right) = changed.min(0), changed.max(0)
        assert (top > 256) == place.startswith("bottom")
        assert (bottom < 256) == place.startswith("top")
        assert right < 512 - 8
        assert left > 8


def test_a_long_text_takes_more_lines_and_one_too_long_is_refused() -> None:
    one, two = (
        label(label="Made by a machine"),
        label(label="Made by a machine for the spring fair of our town"),
    )
    assert two.box[3] - two.box[1] > 1.3 * (one.box[3] - one.box[1])
    with pytest.raises(SettingsError, match="shorter"):
        label(label="word " * 200)


def test_letters_the_font_lacks_are_named() -> None:
    with pytest.raises(SettingsError, match="'鬱'"):
        label(label="鬱")


def test_chinas_label_shows_for_two_seconds_at_least() -> None:
    with pytest.raises(SettingsError, match="at least 2 seconds"):
        Settings(label="cn", label_seconds=1)
