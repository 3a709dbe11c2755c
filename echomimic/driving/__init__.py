"""What an engine follows: the motion of the conditions, as long as the video,
at its rate, made for the portrait."""

from echomimic.driving.body import hands
from echomimic.driving.face import landmarks, performance

__all__ = ["hands", "landmarks", "performance"]
