"""Teeth and the mouth's inside take the light, the colour and the grain of their picture."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.preview.mesh.face_mesh import build_mesh
from echomimic.preview.mesh.warp import make_texture
from echomimic.preview.mouth.mouth_light import LIGHT_TUNING, find_light
from tests.preview.portrait import SKIN, Portrait, draw, play

Array = NDArray[np.float32]
SIDE = 384
LUMA = np.array([0.299, 0.587, 0.114])


def changed(change: object) -> Portrait:
    """A drawn person whose picture went through `change`."""
    drawn = draw(SIDE, SIDE, 104.0)
    assert callable(change)
    drawn.picture[:] = np.clip(change(drawn.picture.astype(np.float64)), 0, 255)
    return drawn


def inside(portrait: Portrait) -> Array:
    """(n, 3) what is seen between the lips of an open mouth."""
    frame = portrait.renderer(SIDE, SIDE).render(play(mouth=1.0), 0).astype(np.float32)
    points = portrait.face.points
    x, y = ((points[13] + points[14]) / 2)[:2].astype(int)
    return frame[y + 1 : y + 20, x - 18 : x + 19]


def teeth(portrait: Portrait) -> float:
    """How bright the brightest of it is."""
    return float(np.quantile(inside(portrait) @ LUMA, 0.98))


@pytest.mark.parametrize("light", [1.0, 0.5, 0.15])
def test_teeth_are_as_bright_as_the_white_of_the_eyes_lets_them_be(light: float) -> None:
    skin = float(np.array(SKIN) @ LUMA) * light
    assert 0.6 * skin < teeth(changed(lambda picture: picture * light)) < 1.25 * skin


def test_a_yellowed_painting_has_yellow_teeth() -> None:
    tint = np.array([1.0, 0.85, 0.45])
    seen = inside(changed(lambda picture: picture * tint))
    bright = seen[seen @ LUMA > np.quantile(seen @ LUMA, 0.97)].mean(0)
    assert bright[2] < 0.65 * bright[0]


def test_a_grey_picture_stays_grey() -> None:
    grey = changed(lambda picture: (picture @ LUMA)[..., None] + np.zeros(3))
    frame = grey.renderer(SIDE, SIDE).render(play(mouth=1.0), 0).astype(int)
    assert np.ptp(frame, axis=2).max() <= 2


def test_a_grainy_picture_has_grain_between_the_lips() -> None:
    noise = np.random.default_rng(0).normal(0, 9, (SIDE, SIDE, 1))
    clean, grainy = (inside(changed(lambda picture, n=n: picture * 0.5 + n)) @ LUMA for n in (0, noise))
    levels = [
        float(np.median(np.abs(seen - cv2.GaussianBlur(seen, (0, 0), 1.2)))) for seen in (clean, grainy)
    ]
    assert levels[0] < 2.5
    assert 3 < levels[1] < 9


def test_wrinkles_and_brush_strokes_are_no_snow_between_the_lips() -> None:
    strokes = 60 * np.sign(np.sin(np.arange(SIDE) * 1.9))[:, None, None]
    wild = changed(lambda picture: picture + strokes)
    light = find_light(build_mesh(wild.face.points), make_texture(wild.picture, SIDE, SIDE), SIDE, SIDE)
    assert light.grain == LIGHT_TUNING.most_grain
