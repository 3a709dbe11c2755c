"""Group h: the drawings repeat the official pictures."""

import cv2
import numpy as np
import pytest
from PIL import Image

from echomimic.motion.draw.guide_maps import face_map, hand_map
from tests.parity import fixtures
from tests.parity.fixtures import Case


def _pictures(case: str) -> list[Case]:
    return list(fixtures.case(case)["images"])


def _expected(image: Case) -> np.ndarray:
    return np.asarray(Image.open(fixtures.picture(image["file"].removeprefix("images/"))).convert("RGB"))


def _points(case: str, image: Case) -> np.ndarray:
    name, _, index = image["landmarks"].partition("[")
    stored = fixtures.arrays(case)[name]
    return stored[int(index[:-1])] if index else stored


@pytest.mark.parametrize("image", _pictures("v1_landmark_maps"), ids=lambda i: i["file"])
def test_v1_landmark_maps(image: Case) -> None:
    size = tuple(image["size_wh"])
    points = _points("v1_landmark_maps", image)
    options = image["options"]
    if image["normed"]:
        points = points[:, :2] * size
    drawn = face_map(
        points,
        size,
        draw_iris=options["draw_iris"],
        draw_mouth=options["draw_mouse"],
        draw_oval=options.get("draw_head", False),
    )
    np.testing.assert_array_equal(drawn, _expected(image))


@pytest.mark.parametrize("image", _pictures("v2_hand_maps"), ids=lambda i: i["file"])
def test_v2_hand_maps(image: Case) -> None:
    stored = fixtures.arrays("v2_hand_maps")
    drawn = hand_map(
        stored[image["pose"] + "_hands"],
        stored[image["pose"] + "_scores"],
        (image["W"], image["H"]),
        reference=image["ref_w"],
    )
    # OpenCV 5 rasterises lines that leave the picture a little differently from the recorded OpenCV 4.
    allowed = 0 if cv2.__version__.startswith("4.") else 40
    assert drawn.shape == _expected(image).shape
    assert (drawn != _expected(image)).any(2).sum() <= allowed
