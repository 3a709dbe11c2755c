"""Motion made visible: drawn over a portrait or on black,
as frames or as one contact sheet; and in numbers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from echomimic.arrays import Picture
from echomimic.motion.body_pose import L_SHOULDER, NECK, R_SHOULDER, BodyPose
from echomimic.motion.draw.guide_maps import face_map, hand_map
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.body_fit import ARMS, SEEN, hands_seen

# The portrait is so much darker that thin lines show on white clothes.
DIMMED = 0.6
_GREY = (200, 200, 200)
# Outer eye distances per second beyond which a face jumps rather than moves.
_FACE_JUMP = 7.0
# The same for wrists, in shoulder widths per second (a fast gesture reaches 8).
_HAND_JUMP = 12.0


_BONES = ((NECK, L_SHOULDER), (NECK, R_SHOULDER), *(bone for arm in ARMS for bone in pairwise(arm)))


@dataclass(frozen=True)
class Info:
    """What a motion is: `face`, `left_hand`, `right_hand` are the shares of frames in which each is seen,
    None when the motion has no such part; `jumps` the frames at which something moves impossibly fast."""

    seconds: float
    fps: float
    frames: int
    size: tuple[int, int]
    face: float | None
    left_hand: float | None
    right_hand: float | None
    jumps: tuple[int, ...]


def describe(motion: Motion) -> Info:
    """The numbers of a motion."""
    longest = max((part for part in (motion.face, motion.body) if part is not None), key=len)
    hands = (None, None) if motion.body is None else tuple(float(h) for h in hands_seen(motion.body).mean(0))
    jumps = set() if motion.face is None else set(_face_jumps(motion.face))
    jumps |= set() if motion.body is None else set(_hand_jumps(motion.body))
    return Info(
        seconds=motion.seconds,
        fps=longest.fps,
        frames=len(longest),
        size=longest.size,
        face=None if motion.face is None else float(motion.face.seen.mean()),
        left_hand=hands[0],
        right_hand=hands[1],
        jumps=tuple(sorted(jumps)),
    )


def shown(motion: Motion, portrait: Picture | None = None) -> Generator[Picture, None, None]:
    """The motion frame by frame, (H, W, 3) uint8, at the rate of its face (of its body when it has no face).

    Drawn over `portrait`, dimmed, in the portrait's size (the motion is stretched to it); on black without
    one.
    """
    for moment in range(_frames(motion)):
        yield _picture_of(motion, moment, portrait)


def _picture_of(motion: Motion, frame: int, portrait: Picture | None = None) -> Picture:
    """One frame of `shown`."""
    size = _size(motion) if portrait is None else (portrait.shape[1], portrait.shape[0])
    if portrait is None:
        canvas = np.zeros((size[1], size[0], 3), np.uint8)
    else:
        canvas = (portrait * DIMMED).astype(np.uint8)
    if motion.body is not None:
        _draw_body(canvas, _at(motion.body, frame, motion), size)
    if motion.face is not None:
        stretch = np.array(size) / motion.face.size
        lines = face_map(
            motion.face.points[frame][:, :2] * stretch, size, draw_mouth=True, draw_iris=True, draw_oval=True
        )
        _lay(canvas, lines)
    return canvas


def contact_sheet(
    motion: Motion, portrait: Picture | None = None, *, columns: int = 5, rows: int = 4
) -> Picture:
    """Evenly spread frames as one picture, each 256 pixels wide and marked with its time."""
    count = _frames(motion)
    chosen = np.linspace(0, count - 1, min(columns * rows, count)).round().astype(int)
    rate = (motion.face or motion.body or _nothing()).fps
    tiles = [_tile(_picture_of(motion, int(i), portrait), i / rate) for i in chosen]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    return np.concatenate(
        [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    )


def _frames(motion: Motion) -> int:
    return len(motion.face or motion.body or _nothing())


def _size(motion: Motion) -> tuple[int, int]:
    return (motion.face or motion.body or _nothing()).size


def _nothing() -> FaceMotion:
    raise AssertionError("a motion has a face or a body")


def _at(body: BodyPose, frame: int, motion: Motion) -> BodyPose:
    """The one frame of the body that belongs to a frame of the face."""
    rate = body.fps if motion.face is None else motion.face.fps
    index = min(len(body) - 1, round(frame * body.fps / rate))
    return body[index : index + 1]


def _draw_body(canvas: Picture, pose: BodyPose, size: tuple[int, int]) -> None:
    stretch = np.array(size, np.float64) / pose.size
    for a, b in _BONES:
        if min(pose.body_score[0, a], pose.body_score[0, b]) > SEEN:
            ends = [
                np.rint(np.clip(pose.body[0, i] * stretch, -1e5, 1e5)).astype(int).tolist() for i in (a, b)
            ]
            cv2.line(canvas, ends[0], ends[1], _GREY, 2, cv2.LINE_AA)
    _lay(canvas, hand_map(pose.hands[0] / pose.size, np.minimum(pose.hand_score[0], 1.0), size))


def _lay(canvas: Picture, lines: Picture) -> None:
    drawn = lines.any(2)
    canvas[drawn] = lines[drawn]


def _tile(picture: Picture, seconds: float, width: int = 256) -> Picture:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    tile = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    cv2.putText(
        tile, f"{seconds:.2f} s", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA
    )
    return tile


def _face_jumps(motion: FaceMotion) -> list[int]:
    points = motion.points[:, :468, :2]
    unit = np.median(np.linalg.norm(points[:, 33] - points[:, 263], axis=1))
    steps = np.median(np.linalg.norm(np.diff(points, axis=0), axis=2), axis=1)
    return _above(steps, _FACE_JUMP * float(unit) / motion.fps)


def _hand_jumps(pose: BodyPose) -> list[int]:
    """Frames at which a wrist that is seen before and after leaps."""
    seen = hands_seen(pose)
    unit = np.median(np.linalg.norm(pose.body[:, L_SHOULDER] - pose.body[:, R_SHOULDER], axis=1))
    if unit < 1:
        unit = np.float64(0.4 * min(pose.size))
    steps = np.linalg.norm(np.diff(pose.hands[:, :, 0], axis=0), axis=2) * (seen[1:] & seen[:-1])
    return _above(steps.max(1, initial=0.0), _HAND_JUMP * float(unit) / pose.fps)


def _above(steps: npt.NDArray[np.floating], limit: float) -> list[int]:
    return [int(i) + 1 for i in np.flatnonzero(steps > limit)]
