"""Motion as a file: a face, a body, or both, from one ``.npz`` or an official folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from echomimic.errors import DriverError
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.face_motion import FaceMotion, unusable
from echomimic.motion.files.official_poses import (
    FACE_SUFFIX,
    OFFICIAL_FPS,
    folder_kind,
    read_v1_folder,
    read_v2_folder,
)
from echomimic.motion.npz import Arrays, read_npz, write_npz
from echomimic.motion.speech.default_pose import default_loop, is_default_pose


@dataclass(frozen=True, eq=False)
class Motion:
    """What a motion file holds: face motion, body pose, or both. Raises DriverError when it is neither."""

    face: FaceMotion | None = None
    body: BodyPose | None = None

    def __post_init__(self) -> None:
        if self.face is None and self.body is None:
            raise DriverError("a motion holds neither a face nor a body; give at least one")

    @property
    def seconds(self) -> float:
        return max(part.seconds for part in (self.face, self.body) if part is not None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz``. Raises OutputError."""
        arrays: Arrays = {}
        for part in (self.face, self.body):
            arrays |= {} if part is None else part.arrays()
        write_npz(path, arrays)


def read_motion(path: str | os.PathLike[str], fps: float = OFFICIAL_FPS) -> Motion:
    """The motion in a ``.npz`` file or an official folder; `fps` is the rate of an official folder.

    The file of V2's bundled default pose is one round of that pose, at `fps`. Raises DriverError naming the
    file.
    """
    if Path(path).is_dir():
        if folder_kind(path) == FACE_SUFFIX:
            return Motion(face=read_v1_folder(path, fps))
        return Motion(body=read_v2_folder(path, fps))
    arrays = read_npz(path)
    if is_default_pose(arrays):
        return Motion(body=default_loop(fps))
    try:
        face = FaceMotion.from_arrays(arrays) if FaceMotion.held_by(arrays) else None
        body = BodyPose.from_arrays(arrays) if BodyPose.held_by(arrays) else None
        return Motion(face, body)
    except DriverError as fault:
        raise unusable(path, fault) from None
