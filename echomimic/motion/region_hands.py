"""Edits of a stretch of a body pose: what the track ``hands`` of an edit means. See ``region``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from echomimic.arrays import Doubles, Floats
from echomimic.errors import DriverError
from echomimic.motion.body_pose import HAND, L_SHOULDER, R_SHOULDER, BodyPose
from echomimic.motion.edit import fit, gain_hands, mirror, smooth, there_and_back
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.region import Edit, edit_weight
from echomimic.motion.retarget.body_fit import hands_seen, shoulders_seen, sync_body

BodySources: TypeAlias = Callable[[str], BodyPose]
"""The body pose that a name stands for; raises :class:`DriverError` when it shows none."""


def apply_hand_edits(pose: BodyPose, edits: Sequence[Edit], sources: BodySources) -> BodyPose:
    """The pose with every edit of the hands done, in order; frames outside their stretches keep their
    bits."""
    for edit in edits:
        if _is_for_hands(edit):
            pose = _applied(pose, edit, sources)
    return pose


def _is_for_hands(edit: Edit) -> bool:
    """What replaces a whole performance leaves the hands."""
    return edit.op != "blink" and (edit.track == "hands" or (edit.track == "all" and edit.op != "replace"))


def _applied(pose: BodyPose, edit: Edit, sources: BodySources) -> BodyPose:
    weight = edit_weight(edit, len(pose), pose.fps)
    if not weight.any():
        return pose
    wanted = _wanted(pose, edit, sources)
    return BodyPose(
        body=_mixed(pose.body, wanted.body, (pose.body_score, wanted.body_score), weight),
        hands=_mixed(pose.hands, wanted.hands, (pose.hand_score, wanted.hand_score), weight),
        body_score=_switched(pose.body_score, wanted.body_score, weight),
        hand_score=_switched(pose.hand_score, wanted.hand_score, weight),
        fps=pose.fps,
        size=pose.size,
        face=pose.face,
        face_score=pose.face_score,
    )


def _wanted(pose: BodyPose, edit: Edit, sources: BodySources) -> BodyPose:
    """The whole pose as the edit would have it."""
    if edit.op == "smooth":
        return smooth(pose, edit.seconds)
    if edit.op == "mirror":
        return _mirrored(pose)
    if edit.op == "replace":
        return _borrowed(pose, edit, sources(edit.source))
    return gain_hands(pose, 0.0 if edit.op == "mute" else edit.amount)


def _mirrored(pose: BodyPose) -> BodyPose:
    """Left and right exchanged about the person's own middle, not the picture's."""
    turned = mirror(pose)
    middle = 2 * float(pose.body[:, [L_SHOULDER, R_SHOULDER], 0].mean())
    shift = middle - (pose.size[0] - 1) if shoulders_seen(pose) else 0.0
    return turned.moved((1.0, 1.0), (shift, 0.0), pose.size)


def _borrowed(pose: BodyPose, edit: Edit, source: BodyPose) -> BodyPose:
    """The source's hands, fitted to this body, its moment ``offset`` at the edit's start."""
    if not hands_seen(source).any():
        raise DriverError("the source shows no hands; choose a clip or a motion file that does")
    fitted = fit(Motion(body=source), max(1, round(source.seconds * pose.fps)), pose.fps).body
    assert fitted is not None
    both = shoulders_seen(fitted) and shoulders_seen(pose)
    fitted = sync_body(fitted, pose) if both else fitted.resized(*pose.size)
    offset = edit.start if edit.offset is None else edit.offset
    moments = np.maximum(0, np.arange(len(pose)) + round((offset - edit.start) * pose.fps))
    return fitted[there_and_back(len(fitted), int(moments[-1]) + 1)[moments]]


def _mixed(own: Doubles, other: Doubles, scores: tuple[Doubles, Doubles], weight: Floats) -> Doubles:
    """From one to the other; a point that only one of them shows stays where that one has it."""
    mine, theirs = (score[..., None] > 0 for score in scores)
    start, goal = np.where(mine | ~theirs, own, other), np.where(theirs, other, own)
    share = np.asarray(weight, np.float64).reshape(-1, *[1] * (own.ndim - 1))
    return np.asarray(np.where(share > 0, start + share * (goal - start), own))


def _switched(own: Doubles, other: Doubles, weight: Floats) -> Doubles:
    chosen = (weight >= 0.5).reshape(-1, *[1] * (own.ndim - 1))
    return np.asarray(np.where(chosen, other, own))


def hand_curves(pose: BodyPose) -> dict[str, list[float]]:
    """How high each wrist is above its usual place, in shoulder widths, one value per frame; left first.
    Empty for a hand that never shows."""
    seen = hands_seen(pose)
    apart = pose.body[:, L_SHOULDER] - pose.body[:, R_SHOULDER]
    width = float(np.median(np.linalg.norm(apart, axis=-1))) if shoulders_seen(pose) else 0.0
    unit = (
        width or 4.0 * float(np.linalg.norm(pose.hands[:, :, 9] - pose.hands[:, :, 0], axis=-1).max()) or 1.0
    )
    assert pose.hands.shape[2] == HAND
    found = {}
    for side, name in enumerate(("left", "right")):
        there, height = seen[:, side], pose.hands[:, side, 0, 1]
        rest = float(np.median(height[there])) if there.any() else 0.0
        lifted = np.where(there, (rest - height) / unit, 0.0)
        found[name] = [round(float(value), 4) for value in lifted] if there.any() else []
    return found
