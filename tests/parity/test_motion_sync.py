"""Group i: the motion transfer repeats the official numbers."""

import numpy as np
import pytest

from echomimic.arrays import Doubles
from echomimic.motion.metric_face import metric_motion, project
from echomimic.motion.retarget.affine import apply_affine, fit_affine
from echomimic.motion.retarget.official_v1 import Geometry, transfer
from tests.parity import fixtures

CASE = "v1_motion_sync"


@pytest.fixture(scope="module")
def stored() -> dict[str, Doubles]:
    return {name: value.astype(np.float64) for name, value in fixtures.arrays(CASE).items()}


@pytest.fixture(scope="module")
def atol() -> float:
    return float(fixtures.case(CASE)["atol"])


def _driver(stored: dict[str, Doubles], frames: int) -> Geometry:
    return Geometry(*(stored[f"driver_{name}"][:frames] for name in ("lmks", "lmks3d", "trans_mat")))


def _portrait(stored: dict[str, Doubles]) -> Geometry:
    return Geometry(*(stored[f"reference_{name}"] for name in ("lmks", "lmks3d", "trans_mat")))


@pytest.mark.parametrize("frames", [7, 2, 1])
def test_transfer(stored: dict[str, Doubles], atol: float, frames: int) -> None:
    moved = transfer(_driver(stored, frames), _portrait(stored))
    np.testing.assert_allclose(moved, stored[f"out_{frames}"], rtol=0, atol=atol)


def test_transfer_of_the_head_alone(stored: dict[str, Doubles], atol: float) -> None:
    moved = transfer(_driver(stored, 7), _portrait(stored), align=False)
    np.testing.assert_allclose(moved, stored["out_7_noalign"], rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("name", "height", "width"), [("project_out", 512, 512), ("project_out_400x600", 400, 600)]
)
def test_projection(stored: dict[str, Doubles], atol: float, name: str, height: int, width: int) -> None:
    poses = (stored["reference_trans_mat"], stored["driver_trans_mat"][3])
    seen = np.stack([project(stored["reference_lmks3d"], pose, width, height) for pose in poses])
    np.testing.assert_allclose(seen, stored[name], rtol=0, atol=atol)


def test_affine_fit_is_total_least_squares(stored: dict[str, Doubles], atol: float) -> None:
    fitted = fit_affine(stored["affine_src"], stored["affine_dst"])
    np.testing.assert_allclose(fitted, stored["affine_params"], rtol=0, atol=atol)


@pytest.mark.parametrize("sizes", [(0, 0, 0), (1, 0, 0), (0, 0, 1)])
def test_points_that_determine_no_map_are_moved(sizes: tuple[float, ...]) -> None:
    source = np.random.default_rng(0).normal(size=(20, 3)) * sizes
    fitted = fit_affine(source, source + np.array([1.0, 2, 3]))
    np.testing.assert_allclose(
        apply_affine(fitted, source.mean(0)), source.mean(0) + np.array([1, 2, 3]), atol=1e-9
    )


def test_face_geometry_agrees_with_the_recorded_one(stored: dict[str, Doubles]) -> None:
    points = stored["driver_lmks"] * 512
    vertices, poses = metric_motion(points, (512, 512))
    assert np.abs(vertices - stored["driver_lmks3d"]).mean() < 0.02
    turn = np.swapaxes(poses[:, :3, :3], 1, 2) @ stored["driver_trans_mat"][:, :3, :3]
    angles = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert angles.max() < 0.15
    assert np.abs(poses[:, :3, 3] - stored["driver_trans_mat"][:, :3, 3]).max() < 0.2
