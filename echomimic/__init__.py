"""EchoMimic: a portrait and a speech become a talking video.

``echomimic.animate("face.jpg", "speech.mp3", "talk.mp4")`` is all it takes. ``load`` keeps a model between
videos; ``gather`` and ``render`` give the frames of any part of a video as arrays. Names are imported when
they are used.
"""

from echomimic.version import VERSION as __version__

TYPE_CHECKING = False  # typing itself takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from echomimic.conditions import Conditions, gather
    from echomimic.engine import Engine, load
    from echomimic.errors import (
        DriverError,
        EchoMimicError,
        InputError,
        NoFaceError,
        OutputError,
        PictureError,
        ResourceError,
        SettingsError,
        SpeechError,
        WeightsError,
    )
    from echomimic.evaluate.result import Evaluation
    from echomimic.evaluate.run import evaluate
    from echomimic.flow import Result, animate, render
    from echomimic.progress import Progress
    from echomimic.request import Request, Settings
    from echomimic.variants import VARIANTS

_ROOMS = {
    "conditions": ("Conditions", "gather"),
    "engine": ("Engine", "load"),
    "errors": (
        "DriverError",
        "EchoMimicError",
        "InputError",
        "NoFaceError",
        "OutputError",
        "PictureError",
        "ResourceError",
        "SettingsError",
        "SpeechError",
        "WeightsError",
    ),
    "evaluate.result": ("Evaluation",),
    "flow": ("Result", "animate", "render"),
    "progress": ("Progress",),
    "request": ("Request", "Settings"),
    "variants": ("VARIANTS",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "VARIANTS",
    "Conditions",
    "DriverError",
    "EchoMimicError",
    "Engine",
    "Evaluation",
    "InputError",
    "NoFaceError",
    "OutputError",
    "PictureError",
    "Progress",
    "Request",
    "ResourceError",
    "Result",
    "Settings",
    "SettingsError",
    "SpeechError",
    "WeightsError",
    "__version__",
    "animate",
    "evaluate",
    "gather",
    "load",
    "render",
]


def __getattr__(name: str) -> "Any":
    import importlib

    if name == "evaluate":
        return importlib.import_module("echomimic.evaluate")  # a room that can be called
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'echomimic' has no attribute {name!r}")
    return getattr(importlib.import_module(f"echomimic.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
