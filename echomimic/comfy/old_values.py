"""What the classic node pack's inputs are called here, and what its values mean to these nodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echomimic.comfy.modes import MODES, spelled_now
from echomimic.comfy.old_layouts import _Values
from echomimic.errors import SettingsError
from echomimic.option import options
from echomimic.request import MAX_SEED, Settings

LOADER_ONLY = (
    "denoising",
    "pose_mode",
    "draw_mouse",
    "motion_sync",
    "lowvram",
    "teacache_offload",
    "use_mmgp",
)
"""Inputs that only a classic loader has."""
SAMPLER_ONLY = (
    *(
        "pipe",
        "emb",
        "face_detector",
        "visualizer",
        "video_images",
        "video_files",
        "seeds",
        "facemask",
        "facecrop",
    ),
    *("crop_face", "audio_form_video", "audio_file", "draw_mouse", "motion_sync", "partial_video_length"),
)
"""Inputs that only a classic sampler, or the Echo_Predata before it, has."""
RENAMED: Mapping[str, str] = {
    "pipe": "model",
    "seeds": "seed",
    "video_images": "driving",
    "facemask": "facemask_ratio",
    "facecrop": "facecrop_ratio",
    "draw_mouse": "draw_mouth",
}
NOTHING = ("", "none", "None", None, False)
EMPTY = ("face_detector", "visualizer", "info", "clip", "clip_vision")
"""Links that carried networks: the model brings its own now."""
# The networks halve a picture three times behind the autoencoder's three.
_SIDE = 64


@dataclass(frozen=True)
class Site:
    """What the server has: names of its autoencoders and pose folders, and whether a node is installed."""

    vaes: Sequence[str]
    poses: Sequence[str]
    installed: Callable[[str], bool]


def loader_values(old: _Values, posed: bool, site: Site) -> tuple[_Values, list[str]]:
    """A classic loader's inputs as ours, with remarks; ``posed`` is whether its sampler was given motion."""
    notes: list[str] = []
    new: _Values = {name: value for name, value in old.items() if name in ("dtype", "offload", "weights")}
    new["version"] = _version(old.get("version", "V1"), notes)
    new["infer_mode"] = _mode(old.get("infer_mode", old.get("pose_mode", MODES[0])), posed, notes)
    new["vae"] = _vae(old.get("vae"), site, notes)
    if old.get("lowvram") is True:
        new["offload"] = "model"
        notes.append("lowvram is now offload model")
    if old.get("denoising") is False:
        notes.append("denoising has no counterpart and was left out")
    if old.get("use_mmgp") not in NOTHING or old.get("teacache_offload") is True:
        notes.append("use_mmgp and teacache_offload have no counterpart: ComfyUI manages the memory")
    return new, notes


def _version(old: Any, notes: list[str]) -> Any:
    if old != "V3":
        return old
    notes.append("version V3 is not among these models: V2 was chosen")
    return "V2"


def _mode(old: Any, posed: bool, notes: list[str]) -> Any:
    """Today's inference mode; a plain ``normal``
    or ``turbo`` followed whatever motion its sampler was given."""
    if isinstance(old, list):
        return old  # a link
    if isinstance(old, bool):
        return "pose_normal" if old else "audio_drived"
    if old in ("normal", "none"):
        return "pose_normal" if posed else "audio_drived"
    if old == "turbo":
        return "pose_acc" if posed else "audio_drived_acc"
    try:
        return spelled_now(old)
    except SettingsError:
        notes.append(f"infer_mode {old!r} is unknown: {MODES[0]} was chosen")
        return MODES[0]


def _vae(old: Any, site: Site, notes: list[str]) -> Any:
    if isinstance(old, list) or old in site.vaes:
        return old
    if isinstance(old, str) and old not in ("auto", "stabilityai/sd-vae-ft-mse"):
        notes.append(f"vae {old} is not in the vae folder: auto was chosen")
    return "auto"


def sampler_values(old: _Values, site: Site) -> tuple[_Values, list[str]]:
    """A classic sampler's inputs as ours, with remarks.
    Files that it named are left for the caller to load."""
    notes: list[str] = []
    new = {RENAMED.get(name, name): value for name, value in old.items() if name not in EMPTY}
    if new.pop("motion_sync", False) is True:
        notes.append("motion_sync is always on when a driver moves the face")
    if new.pop("crop_face", False) is True:
        notes.append("crop_face is decided by facecrop_ratio now: 1 is no crop")
    for name in ("prompt", "negative_prompt", "partial_video_length", "draw_mouth"):
        if name != "draw_mouth" and name in new:
            new.pop(name)
            _once(
                notes,
                "prompt, negative_prompt and partial_video_length have no counterpart and were left out",
            )
    _pose(new, site, notes)
    _numbers(new, notes)
    return new, notes


def _once(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)


def _pose(new: _Values, site: Site, notes: list[str]) -> None:
    """A pose folder of the classic pack that this server lacks becomes the bundled pose."""
    pose = new.get("pose_dir", "none")
    if isinstance(pose, list):
        return
    if pose in NOTHING:
        new["pose_dir"] = "none"
    elif pose not in site.poses:
        new["pose_dir"] = "none"
        notes.append(
            f"pose_dir {pose} is not in the input folder: none was chosen, which is V2's bundled pose"
        )


def _numbers(new: _Values, notes: list[str]) -> None:
    """Brings numbers into today's ranges; says which were moved."""
    for option in options(Settings):
        value = new.get(option.name)
        if (
            option.type not in (int, float)
            or isinstance(value, (bool, list))
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            continue
        kept = _inside(option.name, value, option.low, option.high)
        if kept != value:
            notes.append(f"{option.name} {value:g} became {kept:g}")
        new[option.name] = option.type(kept)


def _inside(name: str, value: float, low: float | None, high: float | None) -> float:
    if name == "seed":
        return value % (MAX_SEED + 1)
    if name in ("width", "height"):
        return max(128, min(1024, round(value / _SIDE) * _SIDE))
    if name == "length":
        return max(0, min(5000, value))
    if name == "context_frames":
        return max(0, min(32, value))
    return max(low if low is not None else value, min(high if high is not None else value, value))
