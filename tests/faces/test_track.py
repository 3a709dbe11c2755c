"""One face is followed; when it goes it is missed, and when it comes back it is found."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from echomimic.faces.geometry import eye_distance
from echomimic.faces.track import FaceTracker
from echomimic.media.image import Picture

Array = NDArray[np.float32]


def shifted(rgb: Picture, x: float, y: float) -> Picture:
    return np.asarray(
        cv2.warpAffine(rgb, np.array([[1.0, 0, x], [0, 1, y]]), (400, 320), borderValue=(90, 90, 90)),
        np.uint8,
    )


def test_a_still_face_settles_where_mediapipe_settles(astronaut: Picture, recorded: dict[str, Array]) -> None:
    tracker = FaceTracker()
    faces = [tracker.track(astronaut) for _ in range(6)]
    assert faces[-1] is not None
    gap = np.linalg.norm((faces[-1].points - recorded["settled"])[:, :2], axis=1).mean()
    assert gap < 0.01 * eye_distance(recorded["settled"])


def test_a_moving_face_is_followed_lost_and_found(astronaut: Picture) -> None:
    tracker = FaceTracker()
    seen = [tracker.track(shifted(astronaut, 12 * i, 4 * i)) for i in range(8)]
    assert all(face is not None for face in seen)
    noses = np.array([face.points[1, :2] for face in seen if face])
    assert np.abs(np.diff(noses, axis=0) - [12, 4]).max() < 1
    plain = np.full((320, 400, 3), 90, np.uint8)
    assert [tracker.track(plain) for _ in range(2)] == [None, None]
    again = tracker.track(shifted(astronaut, 20, 0))
    assert again is not None
    assert again.points[1, 0] == pytest.approx(noses[0, 0] + 20, abs=2)


def test_a_larger_face_does_not_lure_it_away(astronaut: Picture) -> None:
    half = np.asarray(cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA))
    alone = np.full((300, 520, 3), 90, np.uint8)
    alone[100:260, 20:180] = half
    both = alone.copy()
    both[20:276, 230:486] = astronaut
    tracker = FaceTracker()
    first = tracker.track(alone)
    assert tracker.track(np.full_like(alone, 90)) is None
    second = tracker.track(both)
    assert first is not None
    assert second is not None
    assert np.abs(first.points - second.points).max() < 3
