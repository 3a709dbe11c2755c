"""What the preview shows: nothing that was not asked for, and everything that was."""

from typing import Any

import cv2
import numpy as np
import pytest

from echomimic.faces import geometry as g
from echomimic.preview.renderer import PreviewRenderer
from tests.preview.portrait import DARK, LIP, SKIN, Portrait, draw, play


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return draw()


@pytest.fixture(scope="module")
def renderer(portrait: Portrait) -> PreviewRenderer:
    return portrait.renderer()


def box(points: np.ndarray, margin: float) -> tuple[slice, slice]:
    low, high = points.min(0) - margin, points.max(0) + margin
    return slice(int(low[1]), int(high[1]) + 1), slice(int(low[0]), int(high[0]) + 1)


def test_nothing_moves_when_nothing_is_asked(portrait: Portrait, renderer: PreviewRenderer) -> None:
    frame = renderer.render(play(), 0)
    assert frame.shape == portrait.picture.shape
    assert frame.dtype == np.uint8
    assert np.abs(frame.astype(int) - portrait.picture).max() <= 3


def test_nothing_moves_at_twice_the_detail_either() -> None:
    large = draw(384, 384, 104.0)
    frame = large.renderer(192, 192).render(play(), 0)
    shown = large.picture.reshape(192, 2, 192, 2, 3).mean((1, 3))
    difference = np.abs(frame - shown)
    assert np.quantile(difference, 0.995) <= 3
    assert difference.max() <= 12


def test_a_smile_stays_as_it_is_and_keeps_its_teeth() -> None:
    smiling = draw(smile=True)
    renderer = smiling.renderer()
    assert np.abs(renderer.render(play(), 0).astype(int) - smiling.picture).max() <= 3
    teeth = tuple((0.3 * smiling.face.points[13, :2] + 0.7 * smiling.face.points[14, :2]).astype(int)[::-1])
    opened = renderer.render(play(mouth=1.0), 0).astype(int)
    assert opened[teeth].min() > 150, "the photo's own teeth are still there, and bright"


def test_mouth_opens_by_what_is_asked_and_shows_its_inside(
    portrait: Portrait, renderer: PreviewRenderer
) -> None:
    points = portrait.face.points
    x = int(points[13, 0])
    column = renderer.render(play(mouth=1.0), 0)[:, x].astype(int)
    y = int((points[13, 1] + points[14, 1]) / 2)
    opened = column[y + 2 : y + 9]
    assert np.abs(opened - LIP).sum(1).min() > 60, "between the lips there must be no lip"
    below = column[y + 11 : y + 15]
    assert np.abs(below - LIP).sum(1).min() < 30, "the lower lip comes along"


def test_lips_that_are_told_to_cross_only_meet(portrait: Portrait, renderer: PreviewRenderer) -> None:
    frame = renderer.render(play(mouth=-1.0), 0)
    x = int(portrait.face.points[13, 0])
    y0, y1 = (int(portrait.face.points[k, 1]) for k in (0, 17))
    assert np.abs(frame[y0 + 2 : y1 - 4, x].astype(int) - LIP).sum(1).max() < 160


def test_blink_hides_the_iris_and_touches_only_that_eye(
    portrait: Portrait, renderer: PreviewRenderer
) -> None:
    before, after = renderer.render(play(), 0), renderer.render(play(blink=(1.0, 0.0)), 0)
    iris = box(portrait.face.points[list(g.LEFT_IRIS[1:]), :2], -1)
    assert np.abs(before[iris].astype(int) - DARK).sum(2).min() < 40
    upper_half = (slice(iris[0].start, iris[0].start + 2), iris[1])
    assert np.abs(after[upper_half].astype(int) - DARK).sum(2).min() > 150
    changed = np.abs(after.astype(int) - before).max(2) > 2
    eye = box(portrait.face.points[list(g.LEFT_EYE_UPPER + g.LEFT_EYE_LOWER), :2], 16)
    changed[eye] = False
    assert not changed.any()


@pytest.mark.parametrize("light", [(1.0, 0.45), (0.3, 0.3)])
def test_a_closed_lid_is_the_skin_around_it(light: tuple[float, float]) -> None:
    lit = draw(384, 384, 104.0)
    ramp = np.interp(np.arange(384), [150, 230], light)[None, :, None]
    grain = np.random.default_rng(0).normal(0, 6, (384, 384, 1))
    lit.picture[:] = np.clip(lit.picture * ramp + grain, 0, 255)
    frame = lit.renderer(384, 384).render(play(blink=(1.0, 1.0)), 0).astype(float)
    for iris, side in ((g.LEFT_IRIS, light[0]), (g.RIGHT_IRIS, light[1])):
        x, y = lit.face.points[iris[0], :2].astype(int)
        lid = frame[y - 6 : y + 2, x - 8 : x + 9]
        assert np.abs(lid.mean((0, 1)) / (np.array(SKIN) * side) - 1).max() < 0.14, "the colour of a lid"
        assert 3 < (lid - cv2.blur(lid, (5, 5))).std() < 9, "the grain of a lid"


def test_eyes_follow_a_head_that_moves_far(portrait: Portrait, renderer: PreviewRenderer) -> None:
    far: dict[str, Any] = {"translation": (0.18, 0.12), "rotation": (0.0, 0.1, 0.1)}
    opened, shut = (
        renderer.render(play(**far), 0).astype(int),
        renderer.render(play(blink=(1.0, 1.0), **far), 0).astype(int),
    )
    eyes = box(portrait.face.points[list(g.LEFT_EYE_UPPER + g.RIGHT_EYE_LOWER), :2] + (9, 6), 8)
    white = (opened[eyes].min(2) > 215).sum()
    assert white > 20
    assert (shut[eyes].min(2) > 215).sum() < white / 4


def test_gaze_moves_the_iris_inside_still_lids(portrait: Portrait, renderer: PreviewRenderer) -> None:
    before, after = renderer.render(play(), 0), renderer.render(play(gaze=(0.05, 0.0)), 0)
    eye = box(portrait.face.points[list(g.LEFT_EYE_UPPER + g.LEFT_EYE_LOWER), :2], 0)
    columns = np.arange(eye[1].stop - eye[1].start)

    def centre(frame: np.ndarray) -> float:
        dark = np.clip(150 - frame[eye].mean(2), 0, None)
        return float((dark.sum(0) * columns).sum() / dark.sum())

    assert 0.8 < centre(after) - centre(before) < 4.0


@pytest.mark.parametrize(
    ("rotation", "axis", "sign"),
    [((0, 0.1, 0), 0, 1), ((0, -0.1, 0), 0, -1), ((0.1, 0, 0), 1, 1), ((-0.1, 0, 0), 1, -1)],
)
def test_head_turns_the_way_it_is_asked(
    portrait: Portrait, rotation: tuple[float, float, float], axis: int, sign: int
) -> None:
    marked = draw()
    nose_tip = 1
    nose = marked.face.points[nose_tip, :2].astype(int)
    marked.picture[nose[1] - 2 : nose[1] + 3, nose[0] - 2 : nose[0] + 3] = (0, 255, 0)
    frame = marked.renderer().render(play(rotation=rotation), 0).astype(int)
    green = np.argwhere((frame[..., 1] > 200) & (frame[..., 0] < 90))
    moved = green.mean(0)[::-1] - nose
    assert moved[axis] * sign > 0.8


def test_background_stays_where_it_is(portrait: Portrait, renderer: PreviewRenderer) -> None:
    frame = renderer.render(play(rotation=(0.05, 0.1, 0.05), translation=(0.05, 0.0), body=(0.02, 0.01)), 0)
    away = portrait.mask < 0.5
    away[:, 40:152] = False
    assert away.any()
    assert np.abs(frame.astype(int) - portrait.picture)[away].max() <= 3


def test_strong_motion_is_eased_not_broken(portrait: Portrait, renderer: PreviewRenderer) -> None:
    def strong(times: float) -> np.ndarray:
        turn = (1.5 * times, -1.5 * times, times)
        far: dict[str, Any] = {"rotation": turn, "translation": (3.0 * times, 3.0 * times)}
        return renderer.render(play(**far, mouth=3.0, gaze=(0.5, 0.5), brow=0.3), 0).astype(int)

    def skin(frame: np.ndarray) -> tuple[int, np.ndarray]:
        places = np.argwhere(np.abs(frame - SKIN).sum(2) < 40)
        return len(places), places.mean(0)

    frame, (size, place), (still_size, still_place) = (
        strong(1),
        skin(strong(1)),
        skin(renderer.render(play(), 0)),
    )
    assert np.abs(strong(4) - frame).mean() < 2, "beyond the limit nothing changes any more"
    assert 0.6 < size / still_size < 1.4, "the face is whole"
    assert np.linalg.norm(place - still_place) < 0.56 * 52, "and hardly leaves its place"
    assert np.abs(frame - portrait.picture).max() > 60


@pytest.mark.parametrize(
    ("width", "height", "unit", "centre"),
    [
        (160, 96, 30.0, (0.5, 0.4)),
        (97, 161, 30.0, (0.5, 0.4)),
        (128, 128, 12.0, (0.3, 0.3)),
        (128, 128, 60.0, (0.5, 0.1)),
        (128, 128, 60.0, (0.02, 0.5)),
        (96, 96, 90.0, (0.5, 0.5)),
    ],
)
def test_any_shape_and_any_place_of_the_face(
    width: int, height: int, unit: float, centre: tuple[float, float]
) -> None:
    portrait = draw(width, height, unit, centre)
    moving = play(mouth=1.0, rotation=(0.1, 0.1, 0.1), blink=(0.5, 1.0), gaze=(0.02, 0.01))
    frame = portrait.renderer(width, height).render(moving, 0)
    assert frame.shape == (height, width, 3)
    still_frame = portrait.renderer(width, height).render(play(), 0)
    assert np.abs(still_frame.astype(int) - portrait.picture).max() <= 3


def test_person_that_is_everywhere_or_nowhere(portrait: Portrait) -> None:
    for mask in (np.ones_like(portrait.mask), np.zeros_like(portrait.mask)):
        frame = Portrait(portrait.picture, portrait.face, mask).renderer().render(play(), 0)
        assert np.abs(frame.astype(int) - portrait.picture).max() <= 3
