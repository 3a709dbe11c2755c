"""The sensible side of the crop: clamped masks, kept proportions."""

from types import SimpleNamespace

import numpy as np
import pytest

from echomimic.framing.crop import body_rect, cut_mask, cut_out, face_box, face_mask, face_rect, shown_rect
from echomimic.request import Settings

FACE = (180.4, 150.6, 330.2, 360.9)


def test_a_mask_that_leaves_the_picture_is_clamped_but_wraps_when_faithful() -> None:
    at_the_edge = (3.2, 200.0, 120.0, 340.0)
    mask = face_mask(at_the_edge, 0.1, (512, 512))
    assert mask[250, 0] == 255
    assert mask[250, 131] == 0
    assert not face_mask(at_the_edge, 0.1, (512, 512), faithful=True).any()


@pytest.mark.parametrize("target", [(512, 512), (512, 768), (768, 512), (128, 1024), (1024, 128)])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.8, 1.0])
def test_proportions_are_kept(target: tuple[int, int], ratio: float) -> None:
    x0, y0, x1, y1 = face_rect(FACE, ratio, (600, 900), target)
    assert 0 <= x0 < x1 <= 600
    assert 0 <= y0 < y1 <= 900
    assert abs((x1 - x0) / (y1 - y0) - target[0] / target[1]) <= 0.03 * target[0] / target[1]
    assert x0 <= (FACE[0] + FACE[2]) / 2 <= x1
    assert y0 <= (FACE[1] + FACE[3]) / 2 <= y1


def test_ratio_one_is_no_crop() -> None:
    assert face_rect(FACE, 1.0, (512, 512), (512, 512)) == (0, 0, 512, 512)


def test_half_body_pictures_keep_the_head() -> None:
    points = np.zeros((478, 3), np.float32)
    points[:, 0], points[:, 1] = np.linspace(300, 400, 478), np.linspace(80, 200, 478)
    face = SimpleNamespace(points=points)
    x0, y0, x1, y1 = body_rect(face, (700, 1400), (768, 768))  # type: ignore[arg-type]
    assert (x0, y0, x1, y1) == (0, 0, 700, 700)
    points[:, 1] += 460
    assert body_rect(face, (700, 1400), (768, 768)) == (0, 375, 700, 1075), "0.32 from the top"  # type: ignore[arg-type]
    assert body_rect(None, (1400, 700), (768, 768)) == (350, 0, 1050, 700)
    assert body_rect(face, (700, 1400), (768, 768), faithful=True) == (0, 0, 700, 1400)  # type: ignore[arg-type]


def test_the_box_is_the_extent_of_the_mesh_without_irises() -> None:
    points = np.full((478, 3), 50, np.float32)
    points[10, 1], points[152, 1], points[234, 0], points[454, 0] = 20, 90, 30, 70
    points[470], points[471] = 1000, -1000
    assert face_box(SimpleNamespace(points=points)) == (30, 20, 70, 90)  # type: ignore[arg-type]


def test_cut_out_and_mask_have_the_wanted_size() -> None:
    picture, rect = np.zeros((900, 600, 3), np.uint8), (100, 100, 400, 300)
    assert cut_out(picture, rect, (192, 128)).shape == (128, 192, 3)
    mask = cut_mask(np.full((900, 600), 255, np.uint8), rect, (192, 128))
    assert mask.shape == (128, 192)
    assert mask.dtype == np.float32
    assert mask.min() == mask.max() == 1


@pytest.mark.parametrize(("point", "counts"), [(467, True), (468, False)])
def test_the_last_point_of_the_mesh_counts_and_irises_do_not(point: int, counts: bool) -> None:
    points = np.full((478, 3), 50, np.float32)
    points[point, :2] = 90
    assert face_box(SimpleNamespace(points=points))[2:] == ((90, 90) if counts else (50, 50))  # type: ignore[arg-type]


def test_without_a_face_the_middle_of_the_picture_is_shown() -> None:
    assert body_rect(None, (700, 1400), (768, 768)) == (0, 350, 700, 1050)
    assert shown_rect(None, Settings(model="v1"), (700, 1400), (512, 512)) == (0, 350, 700, 1050)


def test_heads_are_cropped_for_v1_and_bodies_are_not_for_v2() -> None:
    points = np.zeros((478, 3), np.float32)
    points[:, 0], points[:, 1] = np.linspace(300, 400, 478), np.linspace(500, 600, 478)
    points[467] = points[468:] = (400, 600, 0)
    face = SimpleNamespace(points=points)
    v1, v2 = (Settings(model=model, facecrop_ratio=0.5) for model in ("v1", "v2"))
    assert shown_rect(face, v1, (700, 1400), (512, 512)) == (250, 450, 450, 650)  # type: ignore[arg-type]
    assert shown_rect(face, v2, (700, 1400), (768, 768)) == (0, 326, 700, 1026)  # type: ignore[arg-type]
