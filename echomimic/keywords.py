"""The options as typed keyword arguments: what :func:`echomimic.animate` and :func:`echomimic.load` take."""

from pathlib import Path
from typing import TypedDict

from echomimic.request import (
    Crop,
    Device,
    Dtype,
    LabelPlace,
    LipSource,
    NoFace,
    Offload,
    SpeedName,
    StyleName,
    WindowKind,
)
from echomimic.variants import ModelName


class LoadOptions(TypedDict, total=False):
    """What :func:`echomimic.load` takes besides the model: fields of :class:`Settings`, of the same types."""

    device: Device
    devices: str
    dtype: Dtype
    weights: Path | str | None
    vae: Path | str | None
    offload: Offload


class Options(LoadOptions, total=False):
    """What :func:`echomimic.animate` takes: every field of :class:`Settings` and :class:`Request`."""

    model: ModelName
    seed: int
    style: StyleName
    expressiveness: float
    head_motion: float
    blink_rate: float
    gaze: float
    lips: LipSource
    draw_mouth: bool
    fps: float | None
    length: int
    width: int | None
    height: int | None
    size: int | None
    crop: Crop
    paste_back: bool
    label: str
    label_seconds: float
    label_place: LabelPlace
    label_size: float
    sign: bool
    sign_key: Path | str | None
    timestamp_url: str
    cfg: float | None
    steps: int | None
    sample_rate: int
    facemask_ratio: float
    facecrop_ratio: float
    context_frames: int
    context_overlap: int
    windows: WindowKind
    speed: SpeedName
    windows_at_once: int
    scheduler: str
    no_face: NoFace
    faithful: bool
    resume: bool
    driver: str | Path
    face: int
    overwrite: bool
    allow_silence: bool
