"""Every step that keeps an expression one that a mouth can make;
each has an input that no other step mends."""

import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces import geometry as g
from echomimic.preview.mesh.face_mesh import LOWER_LIP_BETWEEN, UPPER_LIP_BETWEEN, Mesh, build_mesh
from echomimic.preview.mouth.lip_limits import Lips, make_lips
from tests.preview.portrait import draw

Array = NDArray[np.float32]
UPPER, LOWER = list(g.UPPER_LIP_INNER[1:-1]), list(g.LOWER_LIP_INNER[1:-1])
UPPER_RIM, LOWER_RIM = list(g.UPPER_LIP_OUTER[1:-1]), list(g.LOWER_LIP_OUTER[1:-1])
WHOLE_LOWER = [*g.LOWER_LIP_INNER[1:-1], *LOWER_RIM, *(k for row in LOWER_LIP_BETWEEN for k in row[1:-1])]
WHOLE_UPPER = [*g.UPPER_LIP_INNER[1:-1], *UPPER_RIM, *(k for row in UPPER_LIP_BETWEEN for k in row[1:-1])]


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return build_mesh(draw().face.points)


@pytest.fixture(scope="module")
def lips(mesh: Mesh) -> Lips:
    return make_lips(mesh)


def asked(**moved: tuple[list[int], float, float]) -> Array:
    """A displacement: any number of (points, right, down) in pixels."""
    skin = np.zeros((468, 2), np.float32)
    for points, right, down in moved.values():
        skin[points] = right, down
    return skin


def test_what_a_mouth_can_do_is_left_alone(lips: Lips) -> None:
    small = asked(lower=(WHOLE_LOWER, 0, 1.0))
    np.testing.assert_allclose(lips.plausible(small.copy())[WHOLE_LOWER], small[WHOLE_LOWER], atol=0.02)


@pytest.mark.parametrize("end", [0, -1])
def test_the_two_points_of_a_corner_hold_together(lips: Lips, end: int) -> None:
    inner, outer = g.LOWER_LIP_INNER[end], g.LOWER_LIP_OUTER[end]
    skin = lips.plausible(asked(inner=([inner], 6, 0)))
    assert skin[inner, 0] - skin[outer, 0] == pytest.approx(2.4, abs=0.01)
    assert 0 < skin[outer, 0] < skin[inner, 0] < 6


def test_an_opening_is_eased(mesh: Mesh, lips: Lips) -> None:
    def gap(units: float) -> float:
        skin = lips.plausible(asked(lower=(WHOLE_LOWER, 0, units * mesh.unit)))
        return float(skin[14, 1] - skin[13, 1]) / mesh.unit

    assert gap(0.28) == pytest.approx(0.28, abs=0.01)
    assert gap(0.36) == pytest.approx(0.3555, abs=0.004)
    assert 0.41 < gap(1.0) < 0.421


def test_a_lip_that_is_pushed_back_goes_as_a_whole(lips: Lips) -> None:
    skin = lips.plausible(asked(upper=(WHOLE_UPPER, 0, 6)))
    np.testing.assert_allclose(skin[[13, 14], 1], 3, atol=0.1)
    np.testing.assert_allclose(skin[[0, 17], 1], 3, atol=0.1)


@pytest.mark.parametrize(("rim", "edge", "push"), [(UPPER_RIM, UPPER, -1.0), (LOWER_RIM, LOWER, 1.0)])
def test_a_lip_keeps_two_thirds_of_its_height(
    mesh: Mesh, lips: Lips, rim: list[int], edge: list[int], push: float
) -> None:
    points = mesh.points[:468, :2]
    moved = points + lips.plausible(asked(edge=(edge, 0, 8 * push)))
    height, own = (np.abs(at[rim, 1] - at[edge, 1]) for at in (moved, points))
    assert (height >= 0.66 * own).all()
    assert (height[2:-2] <= 0.8 * own[2:-2]).all(), "it is squeezed, not carried along"


def test_chin_and_cheeks_come_along(mesh: Mesh, lips: Lips) -> None:
    down = lips.plausible(asked(lower=(WHOLE_LOWER, 0, 14)))[:, 1]
    for point in (18, 200, 199, 175, g.CHIN):
        apart = np.linalg.norm(mesh.points[point, :2] - mesh.points[17, :2])
        assert down[point] >= down[17] - 0.46 * apart, "the skin below the lip is not folded"
    assert down[18] > 8
    assert down[1] == pytest.approx(0, abs=0.01), "the nose stays"


def test_skin_around_a_corner_comes_along(mesh: Mesh, lips: Lips) -> None:
    corners = list(g.MOUTH_CORNERS)
    down = lips.plausible(asked(corners=(corners, 0, 20)))[:, 1]
    for point in (57, 287, 43, 273):
        apart = np.linalg.norm(mesh.points[corners, :2] - mesh.points[point, :2], axis=1).min()
        assert down[point] >= down[corners].min() - 0.71 * apart


def test_lips_do_not_cross_at_the_end_either(mesh: Mesh, lips: Lips) -> None:
    """The upper lip's rim is pressed down: its edge yields, and must not end below the lower lip's."""
    moved = mesh.points[:468, :2] + lips.plausible(asked(rim=(UPPER_RIM, 0, 8)))
    own = np.minimum(mesh.points[LOWER, 1] - mesh.points[UPPER, 1], 0)
    assert (moved[LOWER, 1] - moved[UPPER, 1] >= own - 0.05).all()


def test_a_pursed_mouth_opens_little_but_never_less_than_that(mesh: Mesh) -> None:
    corners = list(g.MOUTH_CORNERS)
    pursed = np.zeros((468, 2), np.float32)
    pursed[corners] = mesh.points[corners, :2].mean(0) - mesh.points[corners, :2]
    skin = make_lips(mesh, pursed).plausible(asked(lower=(WHOLE_LOWER, 0, mesh.unit)))
    assert (skin[14, 1] - skin[13, 1]) / mesh.unit == pytest.approx(0.55 * 0.42, abs=0.005)


def test_the_chin_pulls_no_part_of_the_lip_itself(lips: Lips) -> None:
    between = [k for row in LOWER_LIP_BETWEEN for k in row[2:-2]]
    down = lips.plausible(asked(rim=(LOWER_RIM, 0, 8)))[:, 1]
    assert np.abs(down[between]).max() < 0.5
