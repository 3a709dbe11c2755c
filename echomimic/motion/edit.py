"""Edits of a motion. Each returns a new value;
face motion and body pose are edited alike where it makes sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray, Doubles
from echomimic.errors import DriverError, SettingsError
from echomimic.faces.geometry import mesh_mirror as mesh_mirror
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.retarget.face_regions import EYES, eye_weight, forehead_weight, speech_weight
from echomimic.motion.retarget.head_pose import Heads, closed_mouth, split_heads
from echomimic.motion.tracks import at_times, gaussian
from echomimic.option import check_number
from echomimic.request import MOST_FRAMES

M = TypeVar("M", FaceMotion, BodyPose)

GAIN_RANGE = (0.0, 3.0)
_SLOWEST, _FASTEST = 1.0, 1000.0
"""Frames per second that a motion may be resampled to."""

LATEST = 1e6
"""Seconds after which no motion goes on (eleven days)."""

_IRIS_MIRROR = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)
_BODY_MIRROR = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
_FACE68_MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46,
    39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


def resample(motion: M, fps: float) -> M:
    """The same motion at another frame rate; it lasts as long as before, to the nearest frame."""
    check_number("fps", fps, _SLOWEST, _FASTEST, unit="frames per second")
    if fps == motion.fps:
        return motion
    frames = check_number(
        "length", max(1, round(len(motion) * fps / motion.fps)), 1, MOST_FRAMES, unit="frames"
    )
    frames = int(frames)
    moments = np.arange(frames, dtype=np.float64) * (motion.fps / fps)
    return replace(_each(motion, lambda track: at_times(track, moments)), fps=fps)


def smooth(motion: M, seconds: float) -> M:
    """The motion smoothed in time by a Gaussian whose standard deviation is `seconds`."""
    check_number("smooth", seconds, 0, 10, unit="seconds")
    return _each(
        motion, lambda track: track if track.dtype == np.bool_ else gaussian(track, seconds * motion.fps)
    )


def cut(motion: M, start: float = 0.0, stop: float | None = None) -> M:
    """The part from `start` to `stop` seconds (to the end when None)."""
    check_number("start", start, 0, LATEST, unit="seconds")
    if stop is not None:
        check_number("stop", stop, 0, LATEST, unit="seconds")
    first = round(start * motion.fps)
    last = len(motion) if stop is None else min(len(motion), round(stop * motion.fps))
    if first >= last:
        end = "the end" if stop is None else f"{stop:g} s"
        lasts = f"the motion lasts {motion.seconds:.2f} s"
        raise SettingsError(
            f"nothing lies between {start:g} s and {end}: {lasts}; choose a part of it", "start", "stop"
        )
    return motion[first:last]


def loop(motion: M, frames: int) -> M:
    """Exactly `frames` frames: played there and back as often as needed, cut when longer."""
    check_number("length", frames, 1, MOST_FRAMES, whole=True, unit="frames")
    return motion[there_and_back(len(motion), frames)]


def edited(
    motion: Motion,
    *,
    fps: float | None = None,
    start: float = 0.0,
    stop: float | None = None,
    smooth: float = 0.0,
    mirror: bool = False,
    lips: Motion | None = None,
    length: int | None = None,
    mouth: float = 1.0,
    brows: float = 1.0,
    eyes: float = 1.0,
    head: float = 1.0,
    hands: float = 1.0,
) -> Motion:
    """Face and body with every edit that is asked for, in the order of the arguments.

    lips: the motion whose mouth is taken, see `blend`. length: exactly so many frames. The last five are
    gains.
    Raises SettingsError when a number is out of range, DriverError when `lips` are to move a face and one is
    missing.
    """
    face, body = motion.face, motion.body
    if face is not None:
        face = _recut(face, fps, start, stop, smooth, mirror)
        face = face if lips is None else blend(face, _face_of(lips))
        face = face if length is None else loop(face, length)
        if (mouth, brows, eyes, head) != (1, 1, 1, 1):
            face = gain(face, mouth=mouth, brows=brows, eyes=eyes, head=head)
    elif lips is not None:
        raise DriverError("the motion has no face to which other lips could be given; leave them out")
    if body is not None:
        body = _recut(body, fps, start, stop, smooth, mirror)
        body = body if length is None else loop(body, length)
        body = body if hands == 1 else gain_hands(body, hands)
    return Motion(face, body)


def _recut(
    motion: M, fps: float | None, start: float, stop: float | None, seconds: float, mirrored: bool
) -> M:
    motion = motion if fps is None else resample(motion, fps)
    motion = motion if start == 0 and stop is None else cut(motion, start, stop)
    motion = motion if seconds == 0 else smooth(motion, seconds)
    return mirror(motion) if mirrored else motion


def _face_of(motion: Motion) -> FaceMotion:
    if motion.face is None:
        raise DriverError("the motion whose lips are wanted has no face; give another")
    return motion.face


def fit(motion: Motion, frames: int, fps: float) -> Motion:
    """Face and body at `fps`, exactly `frames` frames each: resampled, then looped there and back or cut."""
    face, body = motion.face, motion.body
    return Motion(
        None if face is None else loop(resample(face, fps), frames),
        None if body is None else loop(resample(body, fps), frames),
    )


def there_and_back(length: int, frames: int) -> npt.NDArray[np.intp]:
    """(frames,) frame numbers 0, 1, … length - 1, length - 2, … 0, 1, …"""
    period = max(1, 2 * (length - 1))
    steps = np.arange(frames) % period
    return np.minimum(steps, period - steps) if length > 1 else np.zeros(frames, np.intp)


def gain(
    motion: FaceMotion, *, mouth: float = 1.0, brows: float = 1.0, eyes: float = 1.0, head: float = 1.0
) -> FaceMotion:
    """The motion of each part made smaller or larger; 0 freezes it: lips as closed and eyes as
    open as they get, the head at its mean.
    """
    for name, factor in {"mouth": mouth, "brows": brows, "eyes": eyes, "head": head}.items():
        check_gain(name, factor)
    heads = split_heads(motion)
    factors = _shares() @ np.array([mouth, brows, eyes, head], np.float32)
    rest = _neutral(heads.face)
    face = rest + (heads.face - rest) * factors[:, None]
    return _calmer(replace(heads, face=face), head).to_motion(motion)


def gain_hands(pose: BodyPose, factor: float) -> BodyPose:
    """The motion of arms and hands made smaller or larger about their usual place; 0 freezes them."""
    check_gain("hands", factor)
    hands = _about_mean(pose.hands, pose.hand_score, factor)
    body = pose.body.copy()
    arms = [3, 4, 6, 7]
    body[:, arms] = _about_mean(pose.body[:, arms], pose.body_score[:, arms], factor)
    return replace(pose, hands=hands, body=body)


def mirror(motion: M) -> M:
    """Left and right exchanged."""
    if isinstance(motion, BodyPose):
        return _mirrored_body(motion)
    partner = np.concatenate([mesh_mirror(), _IRIS_MIRROR])
    points = motion.points[:, partner].copy()
    points[..., 0] = motion.size[0] - 1 - points[..., 0]
    return replace(motion, points=points, pose=None)


def blend(head: FaceMotion, lips: FaceMotion) -> FaceMotion:
    """Head, eyes and brows of one motion with the mouth of another, at the rate, length and size of the
    first.

    `lips` is resampled, and looped there and back when it is shorter. Mouths are compared with their own
    closed mouth.
    """
    spoken = loop(resample(lips, head.fps), len(head))
    base, mouth = split_heads(head), split_heads(spoken)
    moved = (mouth.face - closed_mouth(mouth.face)) - (base.face - closed_mouth(base.face))
    face = base.face + _speech_weight_of_all()[:, None] * moved
    return replace(replace(base, face=face).to_motion(head), found=head.seen & spoken.seen)


def check_gain(name: str, factor: float) -> None:
    """Raises SettingsError unless `factor` is a usable gain."""
    check_number(name, factor, *GAIN_RANGE)


def _speech_weight_of_all() -> npt.NDArray[np.float32]:
    """(478,) share of the mouth in every point; irises have none."""
    return np.concatenate([speech_weight(), np.zeros(10, np.float32)])


def _shares() -> npt.NDArray[np.float32]:
    """(478, 4) share of mouth, brows, eyes and the rest of the head in every point; rows sum to 1."""
    eyes = eye_weight()
    brows = np.concatenate([forehead_weight(), np.zeros(10, np.float32)]) * (1 - eyes)
    mouth = _speech_weight_of_all() * (1 - eyes)
    return np.stack([mouth, brows, eyes, 1 - eyes - brows - mouth], axis=1)


def _each(motion: M, change: Callable[[AnyArray], AnyArray]) -> M:
    if isinstance(motion, BodyPose):
        return motion.each(change)
    points, found = np.asarray(change(motion.points), np.float32), np.asarray(change(motion.seen), np.bool_)
    return replace(motion, points=points, found=found, pose=None)


def _neutral(face: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(478, 3) the face to which a gain of 0 leads: lips closed, eyes as wide as usual,
    brows at their mean."""
    middle = np.median(face, axis=0)
    awake = middle.copy()
    for eye in EYES:
        upper, lower = eye.lids
        gap = np.linalg.norm(face[:, upper] - face[:, lower], axis=1)
        ring = [*eye.upper, *eye.lower, *eye.crease]
        awake[ring] = face[gap >= np.quantile(gap, 0.6)][:, ring].mean(0)
    share = _speech_weight_of_all()[:, None]
    return np.asarray(awake * (1 - share) + closed_mouth(face) * share, dtype=np.float32)


def _calmer(heads: Heads, factor: float) -> Heads:
    """Rotation, place and distance of the head times `factor` about their usual values."""
    if factor == 1:
        return heads
    usual, deep = np.median(heads.scale), np.median(heads.depth)
    return replace(
        heads.with_rotations(heads.angles * factor),
        place=heads.home + (heads.place - heads.home) * factor,
        scale=usual * (heads.scale / usual) ** factor,
        depth=deep + (heads.depth - deep) * factor,
    )


def _about_mean(points: Doubles, scores: Doubles, factor: float) -> Doubles:
    """Points (F, …, 2) times `factor` about their mean over the frames in which they are seen."""
    seen = (scores > 0)[..., None]
    usual = (points * seen).sum(0) / np.maximum(seen.sum(0), 1)
    return np.where(seen, usual + (points - usual) * factor, points)


def _mirrored_body(pose: BodyPose) -> BodyPose:
    def swapped(points: Doubles, order: list[int]) -> Doubles:
        turned: Doubles = points[:, order].copy()
        turned[..., 0] = pose.size[0] - 1 - turned[..., 0]
        return turned

    has_face = pose.face is not None and pose.face_score is not None
    return replace(
        pose,
        body=swapped(pose.body, _BODY_MIRROR),
        body_score=pose.body_score[:, _BODY_MIRROR],
        hands=swapped(pose.hands, [1, 0]),
        hand_score=pose.hand_score[:, [1, 0]],
        face=swapped(pose.face, _FACE68_MIRROR) if has_face and pose.face is not None else None,
        face_score=pose.face_score[:, _FACE68_MIRROR] if has_face and pose.face_score is not None else None,
    )
