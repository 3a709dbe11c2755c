"""Widgets from the options of :mod:`echomimic.request`: nothing about an option is written twice."""

from collections.abc import Iterable, Mapping
from typing import Any

from echomimic.comfy.api import io
from echomimic.option import Option, options
from echomimic.request import Request, Settings
from echomimic.variants import Variant

CLASSIC = (
    *("seed", "cfg", "steps", "fps", "sample_rate", "facemask_ratio", "facecrop_ratio"),
    *("context_frames", "context_overlap", "length", "width", "height"),
)
"""Options of the classic sampler, in its order: the editor saves widgets by position."""
NEWER = ("expressiveness", "head_motion", "blink_rate", "gaze", "crop", "lips", "draw_mouth")
MOTION = ("seed", "fps", "facecrop_ratio", "length", "width", "height", "draw_mouth")
LOADED = ("dtype", "offload")
"""Options of the loader."""
# Options that ComfyUI or a link decides.
_ELSEWHERE = (
    *("model", "device", "weights", "vae", "resume", "portrait", "speech", "output", "driver", "overwrite"),
    *("sign", "sign_key", "timestamp_url"),
)


_FIRST = ("face", "allow_silence", "size", "paste_back", "windows", "scheduler", "no_face", "faithful")


def _advanced() -> tuple[str, ...]:
    """Every other option there is; options that are newer than saved workflows stand last."""
    offered = {*CLASSIC, *NEWER, *LOADED, *_ELSEWHERE, *_FIRST}
    names = [option.name for option in (*options(Request), *options(Settings))]
    return (*(n for n in _FIRST if n in names), *(n for n in names if n not in offered))


ADVANCED = _advanced()
INPUTS: Mapping[str, tuple[str, ...]] = {
    "Echo_LoadModel": ("version", "infer_mode", "dtype", "offload", "weights", "vae"),
    "Echo_Sampler": (
        *("image", "audio", "model", "pose_dir", *CLASSIC, "save_video", *NEWER, "driving"),
        *ADVANCED,
    ),
    "Echo_PreviewMotion": ("image", "audio", "model", "pose_dir", *MOTION, "driving", "face", "no_face"),
}
"""The inputs of each node in their order; new ones stand at the end."""
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "Echo_LoadModel": ("model", "face_detector", "visualizer"),
    "Echo_Sampler": ("images", "audio", "frame_rate", "video"),
    "Echo_PreviewMotion": ("images", "frame_rate"),
}
SOCKETS = ("image", "audio", "model", "driving")
"""Inputs that are links only."""

_ONLY: Mapping[tuple[str, ...], str] = {
    ("diffusion",): " Only V1 and V2 use it.",
    ("preview",): " Only the preview uses it.",
}
_STEPS = {"cfg": 0.1, "fps": 1.0}


def settings_options(names: Iterable[str]) -> list[Option]:
    """The options called ``names``, in that order."""
    known = {option.name: option for option in (*options(Settings), *options(Request))}
    return [known[name] for name in names]


def widget(option: Option, **more: Any) -> Any:
    """The V3 input of one option. Optional, so that a workflow saved before the option existed still runs."""
    shared = {"optional": True, "tooltip": tooltip(option), "default": default(option), **more}
    if option.choices:
        return io.Combo.Input(option.name, options=list(option.choices), **shared)
    if option.type is bool:
        return io.Boolean.Input(option.name, **shared)
    if option.type is str:
        return io.String.Input(option.name, **shared)
    low, high, step = bounds(option)
    if option.type is int:
        whole = {"min": int(low), "max": int(high), "step": int(step)}
        return io.Int.Input(option.name, **whole, **shared)
    return io.Float.Input(
        option.name, min=float(low), max=float(high), step=float(step), round=0.001, **shared
    )


def default(option: Option) -> Any:
    """What the widget shows at first; 0 where that means to leave it to the model."""
    if option.default is not None:
        return option.default
    return option.shown if option.shown is not None else 0


def defaults(node: str) -> Mapping[str, Any]:
    """What every widget of a node shows at first."""
    known = {option.name: default(option) for option in (*options(Settings), *options(Request))}
    return {**known, **_OWN}


# First values of the widgets that are no options.
_OWN: Mapping[str, Any] = {
    "version": "Preview",
    "infer_mode": "audio_drived",
    "weights": "auto",
    "vae": "auto",
    "pose_dir": "none",
    "save_video": False,
}


def bounds(option: Option) -> tuple[float, float, float]:
    """(low, high, step) of a number's widget."""
    if option.widget is not None:
        return option.widget
    if option.low is None or option.high is None:
        raise ValueError(f"option {option.name} has no range to offer")
    low = 0 if option.default is None and option.shown is None else option.low
    return low, option.high, 1 if option.type is int else _STEPS.get(option.name, 0.05)


def idle(row: Variant) -> tuple[str, ...]:
    """Names of the inputs that change nothing with this model."""
    return tuple(o.name for o in (*options(Settings), *options(Request)) if _is_idle(o, row))


def _is_idle(option: Option, row: Variant) -> bool:
    guides = _GUIDES.get(option.name)
    return row.engine not in option.used_by or (guides is not None and row.guide not in guides)


# Options that only models with these guides read.
_GUIDES: Mapping[str, tuple[str, ...]] = {
    "facemask_ratio": ("mask",),
    "facecrop_ratio": ("mask", "landmarks"),
    "draw_mouth": ("landmarks",),
}


def tooltip(option: Option) -> str:
    """The option's help as a sentence, with its unit and who listens to it,
    where the help does not say so itself."""
    text = option.help[:1].upper() + option.help[1:]
    unit = f" ({option.unit})" if option.unit and option.unit not in text else ""
    only = "" if "V1" in text else _ONLY.get(option.used_by, "")
    return f"{text}{unit}.{only}"
