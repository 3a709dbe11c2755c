"""Kinds of portraits that used to break: smiles, small mouths, heads turned aside."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces import geometry as g
from echomimic.faces.geometry import rotation_matrix
from echomimic.preview.acting import make_actor
from echomimic.preview.mesh.face_mesh import LOWER_LIP_BETWEEN, UPPER_LIP_BETWEEN, Mesh, build_mesh
from echomimic.preview.mouth.mouth_light import Light
from echomimic.preview.mouth.photo_teeth import look_inside
from tests.preview.portrait import DARK, Portrait, draw, play

Array = NDArray[np.float32]
LIPS = [
    *{
        point
        for row in (
            *(g.UPPER_LIP_INNER, g.UPPER_LIP_OUTER, g.LOWER_LIP_INNER, g.LOWER_LIP_OUTER),
            *(*UPPER_LIP_BETWEEN, *LOWER_LIP_BETWEEN),
        )
        for point in row
    }
]
CORNERS = list(g.MOUTH_CORNERS)


def smiling() -> Mesh:
    """A drawn face with a broad smile: the mouth half as wide again, its corners raised, its lips apart."""
    points = draw().face.points.copy()
    unit = float(np.linalg.norm(points[33, :2] - points[263, :2]))
    middle = points[[13, 14]].mean(0)
    points[LIPS, 0] = middle[0] + 1.5 * (points[LIPS, 0] - middle[0])
    share = np.square((points[LIPS, 0] - middle[0]) / (points[291, 0] - middle[0]))
    points[LIPS, 1] -= 0.09 * unit * share
    lower = [p for row in (g.LOWER_LIP_INNER, g.LOWER_LIP_OUTER, *LOWER_LIP_BETWEEN) for p in row[1:-1]]
    points[lower, 1] += 0.10 * unit
    return build_mesh(points)


def test_a_smile_speaks_with_a_mouth_of_usual_width() -> None:
    mesh = smiling()
    before = mesh.points[:468, :2] / mesh.unit
    after = before + make_actor(mesh).closing / mesh.unit
    width, rest = (float(np.ptp(at[CORNERS, 0])) for at in (before, after))
    assert width > 0.72
    assert 0.5 < rest < 0.66, "the corners come in"
    rise = after[[13, 14], 1].mean() - after[CORNERS, 1].mean()
    assert rise < 0.06, "and down"


def test_a_small_mouth_opens_less() -> None:
    def gap(mesh: Mesh) -> float:
        at = mesh.points[:468, :2] + make_actor(mesh).act(play(mouth=2.0), 0).skin
        return float((at[14] - at[13])[1]) / mesh.unit

    usual = draw().face.points
    small = usual.copy()
    small[LIPS] = usual[[13, 14]].mean(0) + 0.6 * (usual[LIPS] - usual[[13, 14]].mean(0))
    assert gap(build_mesh(small)) < 0.8 * gap(build_mesh(usual))


def test_the_row_of_teeth_ends_where_the_upper_ones_do() -> None:
    """A photo that shows upper teeth, dark, and lower teeth: the lower ones stay with the jaw."""
    mesh = smiling()
    points = mesh.points[:, :2]
    box = (*np.floor(points[LIPS].min(0) - 6).astype(int), *np.ceil(points[LIPS].max(0) + 6).astype(int))
    x0, y0, x1, y1 = (int(v) for v in box)
    photo = np.full((y1 - y0, x1 - x0, 3), (190, 90, 90), np.float32)
    middle = int(points[[13, 14], 1].mean()) - y0
    photo[: middle + 3] = (235, 228, 220)
    photo[middle - 1 : middle + 1] = (30, 12, 10)
    light = warm_light()
    own, found, row = look_inside(mesh, photo, (x0, y0, x1, y1), light)
    assert own is not None
    assert np.abs(found.tooth - (235, 228, 220)).max() < 6
    assert -0.15 < row.edge < 0.02, "the edge of the upper row, a hair above the middle"
    assert own[middle + 5 :].max() < 0.3


def test_lower_teeth_alone_are_no_upper_row() -> None:
    """An open mouth whose upper lip hides its teeth: dark above, the lower teeth below."""
    mesh = smiling()
    low, high = mesh.points[LIPS, :2].min(0) - 6, mesh.points[LIPS, :2].max(0) + 6
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    upper, lower = (float(mesh.points[k, 1]) - y0 for k in (13, 14))
    photo = np.full((y1 - y0, x1 - x0, 3), (30, 12, 10), np.float32)
    photo[round(0.25 * upper + 0.75 * lower) :] = (235, 228, 220)
    own, found, row = look_inside(mesh, photo, (x0, y0, x1, y1), warm_light())
    assert own is None
    assert row.edge < 0.5 * (lower - upper) / mesh.mouth, "the drawn row hangs from the upper jaw"
    assert np.abs(found.tooth - (235, 228, 220)).max() < 6, "in the colour of those that are seen"


def test_a_jaw_rises_as_those_of_people_who_talk_do() -> None:
    """In recordings the chin makes 0.31 to 0.47 of the way of the lips, the jaw beside it evenly less."""
    points = draw().face.points.copy()
    unit = build_mesh(points).unit
    lower = [p for row in (g.LOWER_LIP_INNER, g.LOWER_LIP_OUTER, *LOWER_LIP_BETWEEN) for p in row[1:-1]]
    jaw = np.clip(1 - np.abs(points[:468, 0] - points[0, 0]) / (0.8 * unit), 0, 1)
    jaw[points[:468, 1] < points[17, 1]] = 0
    points[:468, 1] += 0.15 * unit * jaw
    points[lower, 1] = draw().face.points[lower, 1] + 0.34 * unit
    rise = -make_actor(build_mesh(points)).closing[:, 1] / 0.34 / unit
    assert 0.4 < rise[g.CHIN] < 0.7, "a chin so near the lip goes along with it a little"
    assert (np.diff(rise[[150, 136, 172, 58]]) < 0).all()
    assert rise[136] < 0.35, "no corner is bent into the jaw's line"


def warm_light() -> Light:
    return Light(
        tooth=np.array([225, 215, 205], np.float32),
        cavity=np.array([40, 15, 15], np.float32),
        tongue=np.array([130, 60, 60], np.float32),
    )


def test_a_mouth_without_teeth_in_sight_gets_drawn_ones() -> None:
    mesh = smiling()
    low, high = mesh.points[LIPS, :2].min(0) - 6, mesh.points[LIPS, :2].max(0) + 6
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    photo = np.full((y1 - y0, x1 - x0, 3), (30, 12, 10), np.float32)
    light = warm_light()
    own, found, _ = look_inside(mesh, photo, (x0, y0, x1, y1), light)
    assert own is None
    assert found is light


def marked() -> Portrait:
    """A smile whose teeth have a green line down their middle."""
    portrait = draw(384, 384, 104.0, smile=True)
    x, (top, bottom) = round(portrait.face.points[13, 0]), np.round(portrait.face.points[[13, 14], 1])
    portrait.picture[int(top) + 1 : int(bottom) - 1, x - 1 : x + 2] = (0, 255, 0)
    return portrait


@pytest.mark.parametrize("yaw", [-0.25, 0.25])
def test_the_inside_of_the_mouth_follows_a_turn_from_behind_the_lips(yaw: float) -> None:
    portrait = marked()
    frame = portrait.renderer(384, 384).render(play(mouth=0.6, rotation=(0.0, yaw, 0.0)), 0).astype(int)
    green = np.argwhere((frame[..., 1] > 150) & (frame[..., 0] < 100) & (frame[..., 2] < 100))
    assert len(green) > 5
    moved = green.mean(0)[1] - portrait.face.points[13, 0]
    lips = rotation_matrix(0.0, yaw, 0.0) @ np.array([0.0, 0.0, -104.0 * 1.5])
    assert 0.15 < moved / lips[0] < 0.95, "the same way as the lips, but less far"


def stray(frame: NDArray[np.uint8]) -> int:
    """Pixels that differ by more than 40 levels from the median around them."""
    return int((np.abs(frame.astype(int) - cv2.medianBlur(frame, 5)).max(2) > 40).sum())


@pytest.mark.parametrize("yaw", [-0.26, 0.26])
def test_no_speckles_beside_a_turned_cheek(yaw: float) -> None:
    portrait = draw(256, 256, 70.0)
    # Hair as dark as this would be a thin line on the far side: detail, no speckle.
    portrait.picture[np.abs(portrait.picture.astype(int) - DARK).sum(2) < 90] = (130, 115, 105)
    noise = np.random.default_rng(0).normal(0, 9, (256, 256, 1))
    portrait.picture[:] = np.clip(cv2.GaussianBlur(portrait.picture, (0, 0), 1.2) + noise, 0, 255)
    mask = np.asarray(cv2.GaussianBlur(portrait.mask, (0, 0), 4), np.float32)
    soft = Portrait(portrait.picture, portrait.face, mask)
    renderer = soft.renderer(256, 256)
    still = stray(renderer.render(play(), 0))
    turned = stray(renderer.render(play(mouth=0.0, rotation=(0.0, yaw, 0.0)), 0))
    assert turned <= still + 6


def test_shoulders_of_a_half_body_move_with_breath() -> None:
    portrait = draw(256, 320, 40.0, centre=(0.5, 0.25))
    x, y = portrait.face.points[g.CHIN, :2] + (0, 70)
    at = slice(int(y) - 5, int(y) + 6), slice(int(x) - 5, int(x) + 6)
    portrait.picture[at] = (0, 255, 0)
    frame = portrait.renderer(256, 320).render(play(body=(0.05, -0.06)), 0).astype(int)
    green = np.argwhere((frame[..., 1] > 200) & (frame[..., 0] < 90)).mean(0)[::-1]
    assert np.allclose(green - (int(x), int(y)), (2.0, -2.4), atol=0.6)


def test_a_mouth_wider_than_any_speech_rests_as_it_is() -> None:
    points = draw().face.points.copy()
    lower = [p for row in (g.LOWER_LIP_INNER, g.LOWER_LIP_OUTER, *LOWER_LIP_BETWEEN) for p in row[1:-1]]
    points[lower, 1] += 0.5 * 52
    actor = make_actor(build_mesh(points))
    assert np.abs(actor.act(play(41), 20).skin).max() < 0.02
