"""A driver's motion brought to the video's frame rate and length."""

from __future__ import annotations

from echomimic.conditions import Conditions
from echomimic.motion.edit import M, loop, resample
from echomimic.progress import Report, say


def at_rate(motion: M, conditions: Conditions) -> M:
    """``motion`` at the video's rate, as fast as it was; ``faithful`` takes one of its frames per frame."""
    return motion if conditions.settings.faithful else resample(motion, conditions.fps)


def to_length(motion: M, conditions: Conditions, report: Report) -> M:
    """As many frames as the video has; a motion that is too short is played there
    and back, and that is said."""
    if len(motion) < conditions.frames:
        lasts = f"the driver lasts {motion.seconds:.1f} s, the video {conditions.seconds:.1f} s"
        say(report, f"{lasts}: it is played there and back")
    return loop(motion, conditions.frames)
