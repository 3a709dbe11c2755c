"""Who moves: the body in a picture, or an average face when there is no picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echomimic.faces.geometry import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, HeadPose, canonical_face
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.track.body_tracker import portrait_body

_SIDE = 512
# Outer eye distance in pixels: a head that fills about two thirds of the picture.
_SCALE = 165.0
_IRIS = 0.075
_RIM = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], np.float32)
_PLACE = np.array([_SIDE / 2, 0.44 * _SIDE, 0], np.float32)


def average_face() -> npt.NDArray[np.float32]:
    """(478, 3) points of a mean face, seen from the front, in pixels of a square of 512."""
    mesh = canonical_face()
    irises = [mesh[list(c)].mean(0) + _IRIS * _RIM for c in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS)]
    whole = np.concatenate([mesh, *irises]).astype(np.float32)
    return HeadPose(_SCALE, np.eye(3, dtype=np.float32), _PLACE).to_picture(whole)


def body_of(picture: npt.NDArray[np.uint8]) -> BodyPose:
    """Body and hands of the person in a picture (H, W, 3) uint8; scores are 0 where nothing is seen."""
    return portrait_body(picture)
