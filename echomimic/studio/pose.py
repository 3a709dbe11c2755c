"""One pose of a head, given by a few numbers: what the sliders of a still show."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from echomimic.motion.performance import Performance, at_rest
from echomimic.motion.speech.mouth_model import mouth_model
from echomimic.request import Settings

NAMES = ("mouth", "width", "pitch", "yaw", "roll", "brow", "blink", "gaze_x", "gaze_y")
# Opening of the mouth at 1, in eye distances: as wide as the generated speech opens it.
_WIDEST = 0.30
BROW, GAZE = 0.06, 0.06
"""Raise of the brows and shift of the irises at 1, in eye distances:
the largest that speech and drivers give."""
SAMPLE = {"mouth": 0.45, "pitch": -3.0, "yaw": 7.0, "roll": 3.0, "brow": 0.35, "gaze_x": 0.4}
"""A lively moment, to show what the settings do before there is a speech."""


def posed(pose: Mapping[str, float], fps: float) -> Performance:
    """A performance of one frame."""
    model = mouth_model()
    one = at_rest(1, fps, model.basis)
    value = {name: float(pose.get(name, 0.0)) for name in NAMES}
    angles = np.radians([value["pitch"], value["yaw"], value["roll"]])
    opening = np.asarray(model.opening, np.float32).reshape(1, -1) * np.float32(_WIDEST * value["mouth"])
    return replace(
        one,
        expression=opening,
        rotation=angles[None].astype(np.float32),
        brow=np.array([BROW * value["brow"]], np.float32),
        blink=np.full((1, 2), np.clip(value["blink"], 0, 1), np.float32),
        gaze=GAZE * np.array([[value["gaze_x"], value["gaze_y"]]], np.float32),
    )


def sample_pose(settings: Settings, fps: float) -> Performance:
    """The sample moment as strong as the settings have it."""
    share = {"mouth": settings.expressiveness, "brow": settings.expressiveness, "gaze_x": settings.gaze}
    return posed({name: v * share.get(name, settings.head_motion) for name, v in SAMPLE.items()}, fps)
