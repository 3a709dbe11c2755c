"""EchoMimic: a portrait and a speech become a talking video.

``echomimic.animate("face.jpg", "speech.mp3", "talk.mp4")`` is all it takes. Names are imported when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from echomimic.version import VERSION as __version__

if TYPE_CHECKING:
    from echomimic.errors import EchoMimicError, InputError, ResourceError, WeightsError
    from echomimic.flow import Result, animate
    from echomimic.progress import Progress
    from echomimic.request import Request, Settings

_HOMES = {
    "animate": "echomimic.flow",
    "Result": "echomimic.flow",
    "EchoMimicError": "echomimic.errors",
    "InputError": "echomimic.errors",
    "ResourceError": "echomimic.errors",
    "WeightsError": "echomimic.errors",
    "Progress": "echomimic.progress",
    "Request": "echomimic.request",
    "Settings": "echomimic.request",
}

__all__ = [
    "EchoMimicError",
    "InputError",
    "Progress",
    "Request",
    "ResourceError",
    "Result",
    "Settings",
    "WeightsError",
    "__version__",
    "animate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'echomimic' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
