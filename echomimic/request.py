"""Every option of the program, once: its name, type, default, range, unit and help.

``Request`` is what goes in and where the result goes; ``Settings`` is how it is made. Both are frozen and
checked when they are built. The command line, the nodes and the page are generated from :func:`options`.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from echomimic.errors import SettingsError
from echomimic.option import about, check_fields, option, options
from echomimic.variants import ModelName, Variant, variant

# What every host's field for a seed can hold (signed 32 bits).
MAX_SEED = 2**31 - 1
MOST_FRAMES = 1_000_000
"""Longest video: eleven hours at 25 frames per second."""

MAX_WINDOW = 32
"""Longest window: the motion modules' position table has 32 rows."""
USUAL_WINDOW = 12
"""Frames denoised together in the official scripts; also what 0 stands for."""

Device: TypeAlias = Literal["auto", "cuda", "mps", "cpu"]
Dtype: TypeAlias = Literal["auto", "fp16", "bf16", "fp32", "tf32"]
Offload: TypeAlias = Literal["none", "model", "sequential"]
StyleName: TypeAlias = Literal["calm", "natural", "lively"]
LipSource: TypeAlias = Literal["driver", "speech"]
Crop: TypeAlias = Literal["none", "head"]
LabelPlace: TypeAlias = Literal["bottom-right", "bottom-left", "top-right", "top-left"]
WindowKind: TypeAlias = Literal["uniform", "open"]
NoFace: TypeAlias = Literal["error", "whole", "any"]
SpeedName: TypeAlias = Literal["exact", "fast", "fastest"]

_DIFFUSION = ("diffusion",)
_PREVIEW = ("preview",)


@dataclass(frozen=True)
class Settings:
    """How a video is made. A field that is None takes the model's own default (see ``variants.py``)."""

    model: ModelName = option("preview", "what renders the frames", group="Model")
    device: Device = option("auto", "where the networks run", used_by=_DIFFUSION, group="Model")
    devices: str = option(
        "",
        "several devices that share one video, such as cuda:0,cuda:1, or all; empty is device alone",
        used_by=_DIFFUSION,
        group="Model",
    )
    dtype: Dtype = option(
        "auto",
        "number format of the networks",
        used_by=_DIFFUSION,
        group="Model",
    )
    weights: Path | None = option(
        None,
        "folder of the model files (else ECHOMIMIC_HOME, else the Hugging Face cache)",
        used_by=_DIFFUSION,
        group="Model",
    )
    vae: Path | None = option(
        None,
        "autoencoder to use instead of the model's own: a file or folder",
        used_by=_DIFFUSION,
        group="Model",
    )
    offload: Offload = option(
        "none",
        "what waits in main memory while it is not used: nothing, whole networks, or their parts",
        used_by=_DIFFUSION,
        group="Model",
    )

    seed: int = option(
        0, "the same seed and inputs give the same video", low=0, high=MAX_SEED, group="Motion"
    )
    style: StyleName = option(
        "natural",
        "what kind of speaker it is: how far mouth, head and brows go, before the sliders",
        used_by=_PREVIEW,
        group="Motion",
    )
    expressiveness: float = option(
        1.0,
        "how far mouth and brows move; 0 keeps the face still",
        low=0,
        high=2,
        used_by=_PREVIEW,
        group="Motion",
    )
    head_motion: float = option(
        1.0, "how far the head moves; 0 keeps it still", low=0, high=2, used_by=_PREVIEW, group="Motion"
    )
    blink_rate: float = option(
        1.0,
        "how often the eyes blink, against the usual; 0 never",
        low=0,
        high=4,
        used_by=_PREVIEW,
        group="Motion",
    )
    gaze: float = option(
        1.0,
        "how far the eyes wander; 0 keeps the gaze fixed",
        low=0,
        high=2,
        used_by=_PREVIEW,
        group="Motion",
    )
    lips: LipSource = option(
        "driver",
        "who moves the lips when a driver moves the face: the driver too, or the speech",
        used_by=_PREVIEW,
        group="Motion",
    )
    draw_mouth: bool = option(
        False,
        "draw the lips into V1's landmark maps, so that the driver moves them too",
        used_by=_DIFFUSION,
        group="Motion",
    )

    fps: float | None = option(None, "frame rate", unit="frames per second", low=5, high=100, shown=25.0)
    length: int = option(
        0,
        "number of frames; 0 is as long as the speech",
        unit="frames",
        low=0,
        high=MOST_FRAMES,
        widget=(0, 5000, 1),
    )
    width: int | None = option(
        None, "width of the video", unit="pixels", low=64, high=2160, widget=(128, 1024, 64), shown=512
    )
    height: int | None = option(
        None, "height of the video", unit="pixels", low=64, high=2160, widget=(128, 1024, 64), shown=512
    )
    size: int | None = option(
        None,
        "length of the video's shorter side; the picture's proportions are kept",
        unit="pixels",
        low=64,
        high=2160,
    )
    crop: Crop = option(
        "none",
        "show the whole picture, or a square around the head (V1 crops by facecrop_ratio instead)",
        used_by=_PREVIEW,
    )
    paste_back: bool = option(False, "put the moving crop back into the whole picture, at its full size")

    label: str = option(
        "none",
        "visible mark in a corner: none, eu (AI GENERATED), cn (人工智能生成), or your own text",
        group="Provenance",
    )
    label_seconds: float = option(
        0.0,
        "for how long the label shows; 0 is the whole video",
        unit="seconds",
        low=0,
        high=3600,
        group="Provenance",
    )
    label_place: LabelPlace = option("bottom-right", "corner of the label", group="Provenance")
    label_size: float = option(
        0.05,
        "height of the label's letters, of the frame's shorter side",
        low=0.05,
        high=0.25,
        group="Provenance",
    )
    sign: bool = option(
        False, "sign the video (C2PA); `echomimic provenance init` makes the keys", group="Provenance"
    )
    sign_key: Path | None = option(
        None,
        "folder with key.pem and chain.pem to sign with (else your own of provenance init)",
        group="Provenance",
    )
    timestamp_url: str = option(
        "",
        "time-stamp server that confirms when it was signed (the only use of the network)",
        group="Provenance",
    )

    cfg: float | None = option(
        None,
        "classifier-free guidance: how strongly speech and guide are followed; 1 is off",
        low=0,
        high=10,
        used_by=_DIFFUSION,
        group="Diffusion",
        shown=2.5,
    )
    steps: int | None = option(
        None, "denoising steps", low=1, high=100, used_by=_DIFFUSION, group="Diffusion", shown=30
    )
    sample_rate: int = option(
        16000,
        "kept for existing workflows: every engine listens at 16000 Hz, so it changes nothing",
        unit="Hz",
        low=8000,
        high=48000,
        used_by=(),
        group="Diffusion",
        widget=(8000, 48000, 1000),
    )
    facemask_ratio: float = option(
        0.1,
        "by how much of its size the face mask grows beyond the face (V1)",
        low=0,
        high=1,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    facecrop_ratio: float = option(
        0.8,
        "by how much of its size the crop grows beyond the face (V1); 1 is no crop",
        low=0,
        high=1,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    context_frames: int = option(
        USUAL_WINDOW,
        "frames denoised together (at most 32, the length of the position table)",
        low=0,
        high=50,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    context_overlap: int = option(
        3, "frames that neighbouring windows share", low=0, high=10, used_by=_DIFFUSION, group="Diffusion"
    )
    windows: WindowKind = option(
        "uniform",
        "uniform closes the last window over the first frames, as official; open never does",
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    speed: SpeedName = option(
        "exact",
        "exact does all of every step; fast and fastest reuse parts of earlier ones: nearly the same video",
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    windows_at_once: int = option(
        0,
        "windows that go through the network together; 0 is as many as suit the device and its free memory",
        low=0,
        high=16,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    scheduler: str = option(
        "ddim",
        "sampler: ddim as official, or one of diffusers' where that is installed",
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    no_face: NoFace = option(
        "error",
        "when no human face is found: stop, or take any face, an animal's too; "
        "whole lets V1's mask cover the whole picture",
        group="Motion",
    )
    faithful: bool = option(
        False,
        "repeat every quirk of the official code that changes numbers",
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    resume: bool = option(
        True, "go on where an interrupted run of the same job stopped", used_by=_DIFFUSION, group="Diffusion"
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.context_frames > MAX_WINDOW:
            raise SettingsError(
                f"context_frames {self.context_frames} is too long: the motion modules know {MAX_WINDOW} "
                f"positions; choose {MAX_WINDOW} or fewer",
                "context_frames",
            )
        if self.context_frames and self.context_overlap >= self.context_frames:
            raise SettingsError(
                f"context_overlap {self.context_overlap} must be smaller than context_frames "
                f"{self.context_frames}; lower it",
                "context_overlap",
                "context_frames",
            )
        if self.size is not None and (self.width is not None or self.height is not None):
            raise SettingsError("give either size or width and height, not both", "size", "width", "height")
        if self.paste_back and self.crop != "head" and self.variant.engine == "preview":
            raise SettingsError(
                "paste_back needs crop head, without which the whole picture is shown; set crop to head",
                "paste_back",
                "crop",
            )
        self._check_label()
        self._check_sizes()

    def _check_label(self) -> None:
        if self.label == "cn" and 0 < self.label_seconds < 2:
            wrong = f"label cn has to show for at least 2 seconds, not {self.label_seconds:g}; 0 is always"
            raise SettingsError(wrong, "label", "label_seconds")
        if not self.label.strip():
            raise SettingsError("label has no letters in it; give a text, eu, cn or none", "label")

    def _check_sizes(self) -> None:
        low, high, step = self.variant.sizes
        for name in ("width", "height", "size"):
            value = getattr(self, name)
            if value is None:
                continue
            if not low <= value <= high:
                raise SettingsError(
                    f"{name} {value} is out of range for {self.model}; choose {low} to {high} pixels", name
                )
            if step > 2 and value % step:
                near = max(low, min(high, round(value / step) * step))
                raise SettingsError(
                    f"{name} {value} is not a multiple of {step}; choose {near}, the nearest that works", name
                )

    @property
    def variant(self) -> Variant:
        """The row of ``variants.py`` that ``model`` names."""
        return variant(self.model)

    def resolved(self) -> "Settings":
        """The same settings with every None that the model has a default for filled in,
        the unread ones unset."""
        row, defaults = self.variant, {o.name: o.default for o in options(Settings)}
        used = dataclasses.replace(self, **{name: defaults[name] for name in self.unused()})
        return dataclasses.replace(
            used,
            fps=row.fps if self.fps is None else self.fps,
            cfg=row.cfg if self.cfg is None else self.cfg,
            steps=row.steps if self.steps is None else self.steps,
            context_frames=self.context_frames or USUAL_WINDOW,
        )

    def unused(self) -> tuple[str, ...]:
        """Names of the fields that were changed from their default but that the chosen model never reads."""
        return tuple(
            o.name
            for o in options(Settings)
            if self.variant.engine not in o.used_by and getattr(self, o.name) != o.default
        )


@dataclass(frozen=True)
class Request:
    """What goes in, and where the result goes.

    ``driver`` is ``auto`` (motion generated from the speech), ``none`` (V2's bundled pose; otherwise as
    auto), a motion file, a video, or a folder of official pose files.
    """

    portrait: Path = field(metadata=about("the photo or drawing", group="In and out"))
    speech: Path = field(
        metadata=about("the speech: a sound file, or a video whose sound is used", group="In and out")
    )
    output: Path = field(
        metadata=about(
            "the video to write: .mp4, .webm, or a folder for an image sequence", group="In and out"
        )
    )
    driver: str | Path = option(
        "auto",
        "source of motion: auto, none, a .npz file, a video, or a folder of pose files",
        group="Motion",
    )
    face: int = option(
        0, "which face when there are several: 0 is the largest, 1 the next", low=0, high=99, group="Motion"
    )
    overwrite: bool = option(False, "replace the output if it exists", group="In and out")
    allow_silence: bool = option(False, "make an idle video when the speech is silent", group="In and out")

    def __post_init__(self) -> None:
        object.__setattr__(self, "driver", str(self.driver))
        check_fields(self)
