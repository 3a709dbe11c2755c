"""The parts: inverted fields, layers that add up, lips that behave."""

import cv2
import numpy as np
import pytest

from echomimic.arrays import Floats
from echomimic.faces import geometry as g
from echomimic.preview.acting import make_actor
from echomimic.preview.layers import Layers, split
from echomimic.preview.mesh.face_mesh import (
    LOWER_LIP_BETWEEN,
    UPPER_LIP_BETWEEN,
    Grid,
    Mesh,
    barycentric_weights,
    build_mesh,
)
from echomimic.preview.mesh.warp import invert, make_texture, remap
from echomimic.preview.mouth.lip_limits import THINNEST
from tests.preview.portrait import Portrait, draw, play


def node_numbers(side: int) -> Floats:
    """(side, side, 2) the column and row of each node."""
    return np.stack(np.meshgrid(*[np.arange(side, dtype=np.float32)] * 2), -1)


def test_inversion_undoes_a_smooth_field() -> None:
    nodes = node_numbers(64)
    field = np.stack([3 * np.sin(nodes[..., 1] / 9), 2 * np.cos(nodes[..., 0] / 11)], -1).astype(np.float32)
    back = invert(field, nodes, rounds=8)
    error = back + remap(field, nodes + back)
    assert np.abs(error[8:-8, 8:-8]).max() < 0.03


def test_a_part_is_inverted_as_the_whole_is() -> None:
    nodes = node_numbers(64)
    field = np.stack([3 * np.sin(nodes[..., 1] / 9), 2 * np.cos(nodes[..., 0] / 11)], -1).astype(np.float32)
    part = slice(5, 30), slice(11, 64)
    found = invert(field, nodes, rounds=4, damping=0.7, part=part)
    assert np.array_equal(found, invert(field, nodes, rounds=4, damping=0.7)[part])


def test_mesh_points_hold_to_themselves() -> None:
    portrait = draw()
    mesh = build_mesh(portrait.face.points)
    grid = Grid(0, 0, 1, 192, 192)
    held = barycentric_weights(mesh, grid)
    found = held.interpolate(mesh.skin)
    inside = held.interpolate(np.ones((len(mesh.skin), 2), np.float32))[..., 0] > 0.999
    face = np.linalg.norm(grid.nodes() - portrait.face.points[1, :2], axis=2) < 40
    assert inside[face].all()
    assert np.quantile(np.abs(found - grid.nodes())[face], 0.99) < 0.3


def test_a_small_grid_holds_as_the_same_part_of_a_large_one_does() -> None:
    mesh = build_mesh(draw().face.points)
    whole = barycentric_weights(mesh, Grid(0, 0, 1, 192, 192)).interpolate(mesh.skin)
    part = barycentric_weights(mesh, Grid(70, 60, 1, 40, 30)).interpolate(mesh.skin)
    assert np.allclose(part, whole[60:90, 70:110], atol=1e-3)


def layers_of(portrait: Portrait) -> Layers:
    texture = make_texture(portrait.picture, 192, 192)
    return split(texture, portrait.picture, portrait.mask, build_mesh(portrait.face.points))


def test_layers_add_up_to_the_photo() -> None:
    portrait = draw()
    layers = layers_of(portrait)
    at = node_numbers(192)
    frame = layers.compose(layers.person.places(192, 192))
    assert np.abs(frame.astype(int) - portrait.picture).max() <= 2
    assert layers.person.sample(at)[portrait.mask > 0.9][:, 3].min() > 250


def test_grain_at_a_soft_edge_does_not_turn_into_speckles() -> None:
    portrait = draw()
    portrait.picture[:] = np.clip(
        portrait.picture + np.random.default_rng(0).normal(0, 12, (192, 192, 1)), 0, 255
    )
    mask = np.asarray(cv2.GaussianBlur(portrait.mask, (0, 0), 6), np.float32)
    soft = Portrait(portrait.picture, portrait.face, mask)
    at = node_numbers(192) + np.float32(3.3)
    frame = layers_of(soft).compose(at)
    edge = (soft.mask > 0.01) & (soft.mask < 0.25)
    odd = np.abs(frame.astype(int) - cv2.medianBlur(frame, 5)).max(2)
    assert (odd[edge] > 60).mean() < 0.002


def test_background_behind_the_person_continues_what_is_around() -> None:
    middle = layers_of(draw()).background[60:100, 80:110].reshape(-1, 3).mean(0)
    assert np.abs(middle - (95, 125, 152)).max() < 25


@pytest.mark.parametrize("amount", [-2.0, -0.5, 0.5, 1.0, 3.0])
def test_lips_stay_lips(amount: float) -> None:
    mesh = build_mesh(draw().face.points)
    shift = make_actor(mesh).act(play(mouth=amount), 0).skin
    points = mesh.points[:468, :2] + shift
    upper, lower = list(g.UPPER_LIP_INNER[1:-1]), list(g.LOWER_LIP_INNER[1:-1])
    own = np.minimum(mesh.points[lower, 1] - mesh.points[upper, 1], 0)
    assert (points[lower, 1] - points[upper, 1] >= own - 0.05).all()
    assert points[14, 1] - points[13, 1] < 0.45 * mesh.unit
    if amount > 0:
        rim = list(g.LOWER_LIP_OUTER[1:-1])
        height = mesh.points[rim, 1] - mesh.points[lower, 1]
        assert (points[rim, 1] - points[lower, 1] >= THINNEST * height - 0.05).all()


def test_an_open_photo_closes_to_speak_and_relaxes_in_silence() -> None:
    portrait = draw()
    points = portrait.face.points.copy()
    points[list(g.LOWER_LIP_INNER[1:-1] + g.LOWER_LIP_OUTER[1:-1]), 1] += 6
    actor = make_actor(build_mesh(points))
    silent = actor.act(play(41), 20)
    assert silent.talking == 0
    assert not silent.skin.any()
    speaking = play(41, mouth=np.where(np.arange(41) == 14, 1.0, 0.0))
    nearly = actor.act(speaking, 20)
    assert nearly.talking > 0.5
    assert nearly.skin[14, 1] < -1, "the lips come together between the openings"
    assert actor.act(speaking, 40).talking == 0


def test_a_closing_lip_moves_as_a_whole() -> None:
    actor = make_actor(build_mesh(draw(smile=True).face.points))
    for outer, inner, rows in (
        (g.UPPER_LIP_OUTER, g.UPPER_LIP_INNER, UPPER_LIP_BETWEEN),
        (g.LOWER_LIP_OUTER, g.LOWER_LIP_INNER, LOWER_LIP_BETWEEN),
    ):
        rim, edge = (np.abs(actor.closing[list(ids[3:-3]), 1]) for ids in (outer, inner))
        assert edge.min() > 0.4
        for row in rows:
            between = np.abs(actor.closing[list(row[3:-3]), 1])
            assert (between >= np.minimum(rim, edge) - 1e-3).all()
            assert (between <= np.maximum(rim, edge) + 1e-3).all()


def screaming() -> Mesh:
    """A drawn face whose jaw hangs by 0.4 units, the mouth round."""
    mesh = build_mesh(draw().face.points)
    points, unit = mesh.points.copy(), mesh.unit
    corner = points[61, 1]
    below = np.clip((points[:, 1] - corner) / (0.2 * unit), 0, 1)
    points[:, 1] += 0.4 * unit * below * (np.abs(points[:, 0] - points[14, 0]) < 0.6 * unit)
    for row in (g.LOWER_LIP_INNER, g.LOWER_LIP_OUTER, *LOWER_LIP_BETWEEN):
        ids = list(row[1:-1])
        points[ids, 1] = mesh.points[ids, 1] + 0.4 * unit * np.sin(np.linspace(0, np.pi, 11))[1:-1]
    return build_mesh(points)


def test_a_scream_closes_to_a_face_of_usual_length() -> None:
    mesh = screaming()
    actor = make_actor(mesh)
    speaking = play(41, mouth=np.where(np.arange(41) == 14, 1.0, 0.0))
    skin = actor.act(speaking, 20).skin / actor.act(speaking, 20).talking
    shut = mesh.points[:468, :2] + skin
    gap = shut[list(g.LOWER_LIP_INNER), 1] - shut[list(g.UPPER_LIP_INNER), 1]
    assert np.abs(gap).max() < 0.03 * mesh.unit, "the lips meet from corner to corner"
    assert -skin[152, 1] > 0.15 * mesh.unit, "the chin comes up, though less than the lip"
    assert abs(skin[0, 1]) < 0.12 * mesh.unit, "the upper lip hardly comes down: no duck"
    for rim, edge in ((0, 13), (17, 14)):
        before, after = (abs(p[rim, 1] - p[edge, 1]) for p in (mesh.points, shut))
        assert after > 0.9 * before, "lips keep their height"


def test_a_person_that_moves_is_drawn_whole_wherever_it_moves() -> None:
    layers = layers_of(draw())
    for way in (0.0, 7.0, 30.0, 150.0):
        at = layers.person.places(192, 192) + np.float32(2 * way)
        shown = layers.shown(way)
        assert np.array_equal(layers.compose(np.ascontiguousarray(at[shown.box]), shown), layers.compose(at))


def test_little_motion_is_drawn_in_few_places() -> None:
    layers = layers_of(draw())
    size = [np.prod([side.stop - side.start for side in layers.shown(way).box]) for way in (3.0, 30.0, 150.0)]
    assert size[0] < size[1] < size[2] == 192 * 192
