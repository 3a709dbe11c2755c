"""The face's geometry: signs, fits and lists that others rely on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces import geometry as g

Array = NDArray[np.float32]


def test_the_canonical_face_has_its_unit_and_its_symmetry() -> None:
    face = g.canonical_face()
    assert face.shape == (468, 3)
    assert not face.flags.writeable
    assert g.eye_distance(face) == pytest.approx(1, abs=1e-4)
    assert np.abs(face[g.mesh_mirror()] * [-1, 1, 1] - face).max() < 1e-6
    nose_tip = 1
    assert face[nose_tip, 2] > face[g.CHIN, 2] > face[234, 2]
    assert face[g.FOREHEAD, 1] > 0 > face[g.CHIN, 1]


def test_the_triangles_leave_eyes_and_mouth_open() -> None:
    triangles = g.triangles()
    assert triangles.shape == (852, 3)
    assert set(triangles.ravel()) == set(range(468))
    upper, lower = set(g.UPPER_LIP_INNER[1:-1]), set(g.LOWER_LIP_INNER[1:-1])
    lids, other_lids = set(g.LEFT_EYE_UPPER[1:-1]), set(g.LEFT_EYE_LOWER[1:-1])
    for triangle in triangles.tolist():
        assert not (upper & set(triangle) and lower & set(triangle))
        assert not (lids & set(triangle) and other_lids & set(triangle))


def test_mirror_points_pairs_all_points_twice() -> None:
    pairs = g.mirror_points()
    assert (pairs[pairs] == np.arange(478)).all()
    assert pairs[33] == 263
    assert pairs[468] == 473


@pytest.mark.parametrize("scale", [True, False])
def test_umeyama_recovers_a_similarity(scale: bool) -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    turn = g.rotation_matrix(0.3, -0.5, 0.9)
    factor = 2.5 if scale else 1.0
    s, rotation, shift = g.umeyama(points, factor * points @ turn.T + [1, 2, 3], scale=scale)
    assert s == pytest.approx(factor, rel=1e-5)
    assert np.abs(rotation - turn).max() < 1e-5
    assert shift == pytest.approx([1, 2, 3], abs=1e-5)


def test_angles_have_the_signs_everyone_agreed_on() -> None:
    nose, across = np.array([0, 0, -1]), np.array([1, 0, 0])
    assert (g.rotation_matrix(0.2, 0, 0) @ nose)[1] > 0
    assert (g.rotation_matrix(0, 0.2, 0) @ nose)[0] > 0
    assert (g.rotation_matrix(0, 0, 0.2) @ across)[1] > 0
    assert g.rotation_angles(g.rotation_matrix(0.1, -0.2, 0.3)) == pytest.approx((0.1, -0.2, 0.3), abs=1e-6)


def test_head_pose_there_and_back(recorded: dict[str, Array]) -> None:
    points = recorded["settled"]
    pose = g.head_pose(points)
    assert np.abs(pose.to_picture(pose.to_canonical(points)) - points).max() < 1e-3
    canonical = pose.to_canonical(points)[:468]
    assert np.linalg.norm(canonical - g.canonical_face(), axis=1).mean() < 0.07
    assert pose.scale == pytest.approx(g.eye_distance(points), rel=0.1)
    made = pose.to_picture(g.canonical_face())
    assert g.head_pose(made).angles == pytest.approx(pose.angles, abs=1e-3)


def test_measures(recorded: dict[str, Array]) -> None:
    points = recorded["settled"]
    assert 0.08 < g.mouth_opening(points) / g.eye_distance(points) < 0.3
    assert 0.45 < g.mouth_width(points) / g.eye_distance(points) < 0.8
    assert all(0.2 < gap < 0.6 for gap in g.eye_opening(points))
