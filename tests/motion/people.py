"""Made-up people for the tests: a mean face, and an upper body with two hands."""

from collections.abc import Callable

import numpy as np

from echomimic.errors import DriverError
from echomimic.faces.geometry import HeadPose, canonical_face, head_pose, mouth_opening, rotation_matrix
from echomimic.motion.body_pose import BodyPose, empty
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.speech.default_pose import default_pose

SIZE = (512, 512)


def mean_face() -> np.ndarray:
    """(478, 3) canonical points with irises."""
    mesh = canonical_face()
    irises = []
    for corners in ((33, 133), (263, 362)):
        centre = mesh[list(corners)].mean(0)
        ring = [(0, 0), (0.085, 0), (0, 0.07), (-0.085, 0), (0, -0.07)]
        irises += [centre + np.array([x, y, 0.02]) for x, y in ring]
    return np.concatenate([mesh, np.array(irises, np.float32)]).astype(np.float32)


def portrait(scale: float = 150.0, at: tuple[float, float] = (256, 220)) -> np.ndarray:
    """(478, 3) pixels of a face seen from the front; `scale` is its outer eye distance."""
    return in_picture(mean_face(), (0, 0, 0), scale, at)


def in_picture(
    face: np.ndarray, angles: tuple[float, float, float], scale: float, at: tuple[float, float]
) -> np.ndarray:
    return HeadPose(scale, rotation_matrix(*angles), np.array([*at, 0], np.float32)).to_picture(face)


def talker(frames: int = 60, fps: float = 25.0) -> FaceMotion:
    """A head that turns slowly while its mouth opens and closes and its eyes blink once."""
    points = []
    for i in range(frames):
        face = mean_face()
        opening = 0.1 * (1 - np.cos(i / 3.0))
        below = np.clip((-0.70 - face[:, 1]) / 0.1, 0, 1) * (face[:, 2] > -0.3)
        face[:, 1] -= opening * below
        if 30 <= i < 34:
            for upper, lower in ((159, 145), (386, 374), (160, 144), (158, 153), (385, 380), (387, 373)):
                face[upper, 1] = face[lower, 1]
        angles = (0.05 * np.sin(i / 9), 0.2 * np.sin(i / 12), 0.05 * np.cos(i / 10))
        points.append(in_picture(face, angles, 140.0, (250 + 10 * np.sin(i / 11), 230)))
    return FaceMotion(np.array(points, np.float32), fps=fps, size=SIZE)


def person(size: tuple[int, int] = (768, 768)) -> BodyPose:
    """One frame of a person with both hands before the waist."""
    return default_pose(1, 25.0, size)


def handless(size: tuple[int, int] = (768, 768)) -> BodyPose:
    """One frame of a person whose hands are out of the picture."""
    whole = person(size)
    nothing = empty(1, 25.0, size)
    return BodyPose(
        body=whole.body,
        body_score=whole.body_score,
        hands=nothing.hands,
        hand_score=nothing.hand_score,
        fps=25.0,
        size=size,
    )


def fault_of(call: Callable[[], object]) -> str | None:
    """The message of the DriverError that a call ends with, None when it ends well."""
    try:
        call()
    except DriverError as fault:
        return str(fault)
    return None


def face_of(motion: Motion) -> FaceMotion:
    assert motion.face is not None
    return motion.face


def body_of(motion: Motion) -> BodyPose:
    assert motion.body is not None
    return motion.body


def openings(motion: FaceMotion) -> np.ndarray:
    return np.array([mouth_opening(points) / head_pose(points).scale for points in motion.points])


def angles(motion: FaceMotion) -> np.ndarray:
    return np.array([head_pose(points).angles for points in motion.points])


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])
