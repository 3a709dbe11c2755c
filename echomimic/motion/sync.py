"""Motion made to fit a portrait: whose motion it was no longer shows.

For V1 the official arithmetic (`transfer`), for V2 a rigid fit of the body (`body_sync`), for the preview engine a
performance (`reenact`) and back (`portray`).
"""

from __future__ import annotations

import numpy as np

from echomimic.motion.face import POINTS, FaceMotion, Points
from echomimic.motion.portray import motion_from_performance
from echomimic.motion.reenact import performance_from_motion
from echomimic.motion.transfer import geometry_of, transfer

__all__ = ["motion_from_performance", "performance_from_motion", "sync_face"]


def sync_face(motion: FaceMotion, points: Points, size: tuple[int, int], *, align: bool = True) -> FaceMotion:
    """`motion` transferred to a portrait by the official V1 arithmetic.

    points: (478, 3) of the portrait in pixels of `size` (width, height). The result is in pixels of `size`; its depth
    is the portrait's own. `align` fits the features to the portrait's, without it only the head's pose is transferred.
    The official code is square only; here a picture of another shape is padded to a square for the projection.
    """
    side = max(size)
    margin = np.append((side - np.array(size, np.float64)) / 2, 0.0)
    padded = np.asarray(points, np.float64) + margin
    moved = transfer(geometry_of(motion.points, motion.size), geometry_of(padded, (side, side)), align=align, size=side)
    result = np.broadcast_to(np.asarray(points, np.float32), (len(motion), POINTS, 3)).copy()
    result[..., :2] = moved - margin[:2]
    return FaceMotion(result, fps=motion.fps, size=size, found=motion.seen)
