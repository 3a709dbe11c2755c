"""Group j: mask and crop arithmetic of the official V1 script, box given."""

import numpy as np
import pytest

from echomimic.framing.crop import cut_mask, cut_out, face_mask, face_rect
from echomimic.framing.rectangle import clip, grow, shrink_to
from tests.parity import fixtures

CASE = fixtures.case("v1_face_box")
EXPECTED = fixtures.arrays(CASE)


def coordinates(height: int, width: int) -> np.ndarray:
    """The fixtures' test picture: its channels say where a pixel came from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x // 4, y // 4, np.full_like(x, 255)], -1).astype(np.uint8)


def bounds(mask: np.ndarray) -> list[int] | None:
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1]


@pytest.mark.parametrize("entry", CASE["boxes"], ids=lambda e: str(e["key"]))
def test_box_becomes_mask_and_crop_as_official(entry: fixtures.Case) -> None:
    box, (height, width), target = tuple(entry["box_xyxy"]), entry["image_hw"], (entry["W"], entry["H"])
    mask = face_mask(box, entry["facemask_ratio"], (width, height), faithful=True)
    assert bounds(mask) == entry["mask_bounds_before_crop"]
    assert list(clip(grow(box, entry["facecrop_ratio"]), (width, height))) == entry["crop_rect_xyxy"]
    rect = face_rect(box, entry["facecrop_ratio"], (width, height), target, faithful=True)
    assert list(rect) == entry["square_rect_xyxy"]
    cut = np.rint(cut_mask(mask, rect, target) * 255).astype(int)
    assert cut.sum() == pytest.approx(entry["mask_sum_output"], rel=1e-4, abs=1)
    assert bounds(cut) == entry["mask_bounds_output"]
    picture = cut_out(coordinates(height, width), rect, target, faithful=True)
    assert list(picture.shape[:2]) == entry["output_hw"]
    np.testing.assert_allclose(picture.mean((0, 1)), entry["image_mean_bgr"], atol=0.05)
    for name, found in (("mask", cut), ("image", picture)):
        if f"{name}_{entry['key']}" in EXPECTED:
            expected = EXPECTED[f"{name}_{entry['key']}"].astype(int)
            assert np.abs(found.astype(int) - expected).max() <= CASE["atol"]


def test_squares_are_official() -> None:
    for entry in CASE["square_crop"]:
        height, width = entry["image_hw"]
        assert list(shrink_to(tuple(entry["rect"]), (width, height))) == entry["result"]


NODE = fixtures.case("comfy_face_box")


@pytest.mark.parametrize("entry", NODE["boxes"], ids=lambda e: str(e["key"]))
def test_the_node_wrapper_uses_the_same_arithmetic(entry: fixtures.Case) -> None:
    """Its square crops are reproduced; its nearest-neighbour rectangles only in
    their numbers (docs/fidelity.md)."""
    box, (height, width), target = tuple(entry["box_xyxy"]), entry["image_hw"], (entry["W"], entry["H"])
    mask = face_mask(box, entry["facemask_ratio"], (width, height), faithful=True)
    if entry["facecrop_ratio"] == 1:
        assert bounds(mask) == entry["mask_bounds_output"]
        assert int(mask.sum(dtype=np.int64)) == entry["mask_sum_output"]
        return
    ratio = entry["facecrop_ratio"] or 1.0
    assert list(clip(grow(box, ratio), (width, height))) == entry["crop_rect_xyxy"]
    if "square_rect_xyxy" not in entry:
        return
    rect = face_rect(box, ratio, (width, height), target, faithful=True)
    assert list(rect) == entry["square_rect_xyxy"]
    stored, cut = fixtures.arrays(NODE), np.rint(cut_mask(mask, rect, target) * 255)
    assert bounds(cut) == entry["mask_bounds_output"]
    picture = cut_out(coordinates(height, width), rect, target, faithful=True)
    for name, found in (("mask", cut), ("image", picture)):
        if f"{name}_{entry['key']}" in stored:
            assert np.abs(found - stored[f"{name}_{entry['key']}"].astype(float)).max() <= NODE["atol"]
