"""What is asked of a face is done as far as it has to be so that as much is seen."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from echomimic.arrays import Floats
from echomimic.faces import geometry as g
from echomimic.faces.geometry import rotation_angles, rotation_matrix
from echomimic.motion.retarget.face_regions import speech_weight
from echomimic.preview.acting import (
    BROW_LIMIT,
    CORNERS_LIMIT,
    ROTATION_LIMIT,
    TURNED_LIMIT,
    corner_pull,
    make_actor,
    seen_gain,
)
from echomimic.preview.mesh.face_mesh import build_mesh
from tests.preview.portrait import draw, play


def test_a_head_turns_fifteen_degrees_and_never_further_than_a_photo_can_show() -> None:
    actor = make_actor(build_mesh(draw().face.points))

    def yaw(degrees: float) -> float:
        turn = actor.act(play(rotation=(0.0, np.radians(degrees), 0.0)), 0).head.turn
        return float(np.degrees(rotation_angles(turn)[1]))

    assert 14.5 < yaw(15) < 21
    assert 5 < yaw(5) < 7
    assert yaw(80) < np.degrees(ROTATION_LIMIT) + 0.1
    assert yaw(-15) == -yaw(15)


def test_gains_leave_the_eyes_and_the_depth_alone() -> None:
    gain = seen_gain()
    assert gain.shape == (g.MESH_POINTS, 3)
    assert np.allclose(gain[list(g.LEFT_EYE_UPPER + g.RIGHT_EYE_LOWER)], 1)
    assert np.allclose(gain[:, 2], 1)
    assert (gain[list(g.MOUTH_CORNERS), 0] > 1.1).all()
    assert gain[0, 1] > 1.15 > 1 > gain[17, 1]


def test_lips_that_come_forward_take_the_corners_down_and_those_drawn_back_take_them_up() -> None:
    actor, corners = make_actor(build_mesh(draw().face.points)), list(g.MOUTH_CORNERS)
    lips = np.zeros((1, g.MESH_POINTS, 3), np.float32)
    lips[0, :, 2] = speech_weight()

    def lowered(forward: float) -> Floats:
        at_rest = play(1, mouth=0.0)
        asked = replace(at_rest, basis=lips, expression=np.array([[forward]], np.float32))
        return np.asarray(actor.act(asked, 0).skin[corners, 1] / actor.mesh.unit)

    assert (lowered(0.01) > 0.006).all()
    assert (lowered(-0.01) < -0.006).all()
    assert np.allclose(lowered(0.0), 0)
    assert (lowered(0.1) < 1.01 * CORNERS_LIMIT).all(), "rounded lips do not sulk"
    assert corner_pull()[list(g.LEFT_EYE_LOWER + g.RIGHT_EYE_LOWER)].max() < 1e-3


def test_a_face_seen_from_the_side_turns_less() -> None:
    points = draw().face.points
    middle = points[168]
    aside = (points - middle) @ rotation_matrix(0.0, 0.6, 0.0).T + middle
    actor = make_actor(build_mesh(aside.astype(np.float32)))
    turn = actor.act(play(rotation=(0.0, 0.5, 0.0)), 0).head.turn
    assert abs(rotation_angles(turn)[1]) <= TURNED_LIMIT + 1e-3


def test_a_raised_brow_stretches_the_skin_over_the_eye_evenly() -> None:
    mesh = build_mesh(draw().face.points)
    at, follow = mesh.points[:, :2], mesh.brow
    for column in ((159, 27, 223, 52, 105), (386, 257, 443, 282, 334)):
        for below, above in pairwise(column):
            rise = float(at[below, 1] - at[above, 1]) / mesh.unit
            assert rise > 0
            assert BROW_LIMIT * float(follow[above] - follow[below]) < 0.8 * rise, (below, above)
    assert not follow[list(g.LEFT_EYE_LOWER)].any()
    assert follow[105] == 1
