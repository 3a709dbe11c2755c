"""A face to look for, and what MediaPipe 0.10.21 itself found in it.

`astronaut.jpg` is a part of the NASA portrait of Eileen Collins (public domain, as in scikit-image).
`mediapipe.npz` was recorded with `mp.solutions`: `points` by FaceMesh on the photo, `settled` by FaceMesh
following it for twelve frames, `mask` by SelfieSegmentation, `box` and `score` by the short-range
FaceDetection, `pose` by Pose (33 rows: x, y, z, visibility).
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.media.image import Picture, read_picture

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    return read_picture(HERE / "astronaut.jpg")


@pytest.fixture(scope="session")
def recorded() -> dict[str, NDArray[np.float32]]:
    with np.load(HERE / "mediapipe.npz") as stored:
        return {name: stored[name] for name in stored.files}
