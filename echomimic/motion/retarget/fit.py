"""Motion made to fit a portrait: whose motion it was no longer shows.

For V1 the official arithmetic (`transfer`), for V2 a rigid fit of the body (`body_sync`), for the preview
engine a performance (`reenact`) and back (`portray`).
"""

from __future__ import annotations

import numpy as np

from echomimic.arrays import Floats, Picture
from echomimic.errors import NoFaceError
from echomimic.faces.detect import find_faces
from echomimic.faces.geometry import POINTS, STABLE, head_pose
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.body_fit import body_from_face, shoulders_seen, sync_body
from echomimic.motion.retarget.official_v1 import geometry_of, transfer
from echomimic.motion.track.body_tracker import portrait_body

# Mean distance, in outer eye distances, within which two faces are taken for one.
_SAME = 0.03


def sync_motion(motion: Motion, picture: Picture, *, align: bool = True) -> Motion:
    """Face and body fitted to the person in a picture (H, W, 3) uint8; see `sync_to`.

    Raises NoFaceError when a face moves and the picture shows none.
    """
    size = (picture.shape[1], picture.shape[0])
    faces = find_faces(picture, most=1)
    body = None if motion.body is None else portrait_body(picture)
    if not faces and (motion.face is not None or body is None or not shoulders_seen(body)):
        raise NoFaceError(
            "no face was found in the portrait; use a picture that shows one clearly, from the front"
        )
    return sync_to(motion, faces[0].points if faces else None, size, body, align=align)


def sync_to(
    motion: Motion,
    points: Floats | None,
    size: tuple[int, int],
    body: BodyPose | None = None,
    *,
    align: bool = True,
) -> Motion:
    """Face and body fitted to a portrait; a face that was made for the portrait is only brought to its size.

    points: (478, 3) in pixels of `size`; needed unless only a body moves and the portrait's shoulders are in
    `body`. body: the portrait's body and hands; its shoulders are guessed from the face when they are not in
    it.
    """
    face, pose = motion.face, motion.body
    if face is not None:
        assert points is not None
        face = (
            face.resized(*size)
            if made_for(face, points, size)
            else sync_face(face, points, size, align=align)
        )
    if pose is not None:
        if body is None or not shoulders_seen(body):
            assert points is not None
            body = body_from_face(points, size)
        pose = sync_body(pose, body)
    return Motion(face, pose)


def made_for(motion: FaceMotion, points: Floats, size: tuple[int, int]) -> bool:
    """Whether the face that moves is the portrait's own: same picture shape, same features in the same place.

    points: (478, 3) of the portrait in pixels of `size`. The features compared are those that expression
    hardly moves.
    """
    width, height = motion.size
    if abs(width / height - size[0] / size[1]) > 0.01:
        return False
    stable, scale = list(STABLE), size[0] / width
    apart = motion.points[:, stable, :2] * scale - points[stable, :2]
    return bool(np.linalg.norm(apart, axis=2).mean(1).min() < _SAME * head_pose(points).scale)


def sync_face(motion: FaceMotion, points: Floats, size: tuple[int, int], *, align: bool = True) -> FaceMotion:
    """`motion` transferred to a portrait by the official V1 arithmetic.

    points: (478, 3) of the portrait in pixels of `size` (width, height). The result is in pixels of `size`;
    its depth is the portrait's own. `align` fits the features to the portrait's, without it only the head's
    pose is transferred. The official code is square only; here a picture of another shape is padded to a
    square for the projection.
    """
    side = max(size)
    margin = np.append((side - np.array(size, np.float64)) / 2, 0.0)
    padded = np.asarray(points, np.float64) + margin
    moved = transfer(
        geometry_of(motion.points, motion.size), geometry_of(padded, (side, side)), align=align, size=side
    )
    result = np.broadcast_to(np.asarray(points, np.float32), (len(motion), POINTS, 3)).copy()
    result[..., :2] = moved - margin[:2]
    return FaceMotion(result, fps=motion.fps, size=size, found=motion.seen)
