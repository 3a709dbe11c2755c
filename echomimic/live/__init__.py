"""Live: sound goes in while frames come out, on a bare CPU."""

from echomimic.live.portrait import LivePortrait, prepare
from echomimic.live.session import Live, LiveFrame

__all__ = ["Live", "LiveFrame", "LivePortrait", "prepare"]
