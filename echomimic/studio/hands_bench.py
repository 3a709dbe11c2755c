"""The hands of a take as curves and as a drawing, for the bench's process: what V2 is going to follow."""

import functools
import json

from echomimic.conditions import gather
from echomimic.driving import hands
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.region_hands import hand_curves
from echomimic.request import Settings
from echomimic.studio.child import Answer, Question
from echomimic.studio.directed import BorrowedHands, directed_hands
from echomimic.studio.pictures import body_overlay

KEPT_HANDS = 4
_BASE = ("portrait", "speech", "settings", "request")


@functools.lru_cache(KEPT_HANDS)
def _base_of(asked: str) -> BodyPose:
    """The hands before edits."""
    values = json.loads(asked)
    settings = Settings(**values["settings"])
    return hands(
        gather(values["portrait"], values["speech"], settings, allow_silence=True, **values["request"])
    )


def _hands_of(question: Question) -> BodyPose:
    base = _base_of(json.dumps({name: question[name] for name in _BASE}, sort_keys=True))
    return directed_hands(base, question["edits"], BorrowedHands(question["sources"], patient=False))


def hands_shown(question: Question) -> Answer:
    """How high both hands are, frame by frame."""
    pose = _hands_of(question)
    tracks = {"hands": hand_curves(pose)}
    units = {"left": "shoulder widths", "right": "shoulder widths"}
    return {"fps": pose.fps, "frames": len(pose), "tracks": tracks, "units": units}, b""


def hands_map(question: Question) -> Answer:
    """The body and hands of a moment, drawn on nothing."""
    pose = _hands_of(question)
    at = min(len(pose) - 1, max(0, round(question["time"] * pose.fps)))
    return {}, body_overlay(pose[at : at + 1], *question["size"])
