"""Bodies as the networks see them turned into body poses: of a portrait, or frame by frame of a video."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from echomimic.arrays import Doubles, Picture
from echomimic.faces.body import Body, Hand, assign_sides, find_hands, find_pose
from echomimic.motion.body_pose import BODY, HAND, NECK, BodyPose
from echomimic.motion.tracks import bridge, gaussian

LONGEST_GAP = 0.5
"""Seconds for which a hand that is not seen is bridged; after that it is absent."""
# Seconds over which points are smoothed: less than a frame, which is what a tracker trembles by.
_JITTER = 0.03
# Points of a lower score are bridged from the frames around.
_SEEN = 0.3
_SHOULDERS = (11, 12)
# MediaPipe's number of each of OpenPose's 18 points; the neck lies between the shoulders.
_POINTS = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)


def portrait_body(rgb: Picture) -> BodyPose:
    """Body and hands of the most visible person in a picture (H, W, 3) uint8, one frame;
    scores are 0 where unseen."""
    pose = find_pose(rgb)
    seen = Body(pose, *assign_sides(find_hands(rgb, pose=pose), pose))
    return _stacked([seen], 25.0, (rgb.shape[1], rgb.shape[0]))


def video_body(seen: Sequence[Body], fps: float, size: tuple[int, int]) -> tuple[BodyPose, int]:
    """Body pose of a video's frames, and in how many of them a hand was bridged.

    Hands that vanish for half a second at most are interpolated; those gone for longer are absent. Body
    points that are hidden are interpolated, their scores stay low.
    """
    raw = _stacked(seen, fps, size)
    body = raw.body.copy()
    for point in range(BODY):
        body[:, point] = bridge(body[:, point], raw.body_score[:, point] > _SEEN)
    hands, scores = raw.hands.copy(), raw.hand_score.copy()
    bridged = 0
    for side in range(2):
        known = scores[:, side, 0] > 0
        kept = _short_gaps_closed(known, round(LONGEST_GAP * fps))
        hands[:, side] = gaussian(bridge(hands[:, side], known), _JITTER * fps) * kept[:, None, None]
        scores[:, side] = bridge(scores[:, side], known) * kept[:, None]
        bridged += int((kept & ~known).sum())
    body = np.asarray(gaussian(body, _JITTER * fps))
    return BodyPose(body, hands, raw.body_score, scores, fps, size), bridged


def _stacked(seen: Sequence[Body], fps: float, size: tuple[int, int]) -> BodyPose:
    bodies = [_body(frame) for frame in seen]
    hands = [[_hand(frame.left), _hand(frame.right)] for frame in seen]
    return BodyPose(
        body=np.stack([points for points, _ in bodies]),
        body_score=np.stack([scores for _, scores in bodies]),
        hands=np.array([[points for points, _ in pair] for pair in hands]),
        hand_score=np.array([[scores for _, scores in pair] for pair in hands]),
        fps=fps,
        size=size,
    )


def _body(frame: Body) -> tuple[Doubles, Doubles]:
    """(18, 2) and (18,) of one frame; zeros when nobody is seen."""
    if frame.pose is None:
        return np.zeros((BODY, 2)), np.zeros(BODY)
    points = frame.pose.points[list(_POINTS), :2].astype(np.float64)
    scores = frame.pose.visibility[list(_POINTS)].astype(np.float64)
    points[NECK] = frame.pose.points[list(_SHOULDERS), :2].mean(0)
    scores[NECK] = frame.pose.visibility[list(_SHOULDERS)].min()
    return points, scores


def _hand(hand: Hand | None) -> tuple[Doubles, Doubles]:
    if hand is None:
        return np.zeros((HAND, 2)), np.zeros(HAND)
    return hand.points[:, :2].astype(np.float64), np.full(HAND, float(hand.score))


def _short_gaps_closed(known: npt.NDArray[np.bool_], longest: int) -> npt.NDArray[np.bool_]:
    """`known` with gaps of at most `longest` frames between known frames filled."""
    closed: npt.NDArray[np.bool_] = known.copy()
    for before, after in pairwise(np.flatnonzero(known)):
        if after - before <= longest + 1:
            closed[before:after] = True
    return closed
