"""The mask lies on the person, at any size, and agrees with MediaPipe's."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces.segment import person_mask
from echomimic.media.image import Picture

Array = NDArray[np.float32]


def test_the_mask_is_that_of_mediapipe(astronaut: Picture, recorded: dict[str, Array]) -> None:
    mask = person_mask(astronaut)
    assert mask.shape == astronaut.shape[:2]
    assert mask.dtype == np.float32
    assert np.abs(mask - recorded["mask"] / 255).mean() < 0.01


@pytest.mark.parametrize("size", [(64, 64), (301, 517), (1400, 1100)])
def test_any_size(astronaut: Picture, size: tuple[int, int]) -> None:
    mask = person_mask(np.asarray(cv2.resize(astronaut, size), np.uint8))
    height, width = mask.shape
    assert (width, height) == size
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask[int(height * 0.5), int(width * 0.5)] > 0.95
    assert mask[: height // 4, : width // 5].max() < 0.1


def test_a_small_person_is_seen_where_the_face_says(astronaut: Picture, recorded: dict[str, Array]) -> None:
    wide = cv2.copyMakeBorder(astronaut, 600, 0, 600, 600, cv2.BORDER_CONSTANT, value=(120, 130, 125))
    mask = person_mask(np.asarray(wide, np.uint8), recorded["points"] + np.array([600, 600, 0], np.float32))
    face = mask[690:760, 690:760]
    assert face.mean() > 0.9
    assert mask[:500].max() < 0.1
