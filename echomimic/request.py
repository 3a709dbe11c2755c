"""Every option of the program, once: its name, type, default, range, unit and help.

``Request`` is what goes in and where the result goes; ``Settings`` is how it is made. Both are frozen and
checked when they are built. The command line, the nodes and the page are generated from :func:`options`.
"""

import dataclasses
import numbers
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from echomimic.errors import SettingsError
from echomimic.variants import VARIANTS, Variant, variant

EVERY = ("preview", "diffusion")
MAX_SEED = 2**31 - 1
MAX_WINDOW = 32
"""Longest window: the motion modules' position table has 32 rows."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a door has to know to offer one field.

    ``low``/``high`` bound what the library takes; ``widget`` is (low, high, step) of the classic node where
    that is narrower; ``shown`` is the default to display when the field's own default is None ("the model's").
    """

    name: str
    type: type
    default: Any
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    used_by: tuple[str, ...] = EVERY
    group: str = "Output"
    widget: tuple[float, float, float] | None = None
    shown: Any = None


def _opt(default: Any, help: str, **meta: Any) -> Any:
    return field(default=default, metadata={"help": help, **meta})


def options(of: type) -> tuple[Option, ...]:
    """The options of ``Request`` or ``Settings`` in order of declaration."""
    hints = typing.get_type_hints(of)
    return tuple(
        Option(name=f.name, type=_plain(hints[f.name]), default=f.default, **f.metadata)
        for f in fields(of)
        if "help" in f.metadata
    )


def _plain(hint: Any) -> type:
    """``float | None`` → ``float``."""
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    return typing.cast(type, hint)


def _check(value: Any, option: Option) -> Any:
    """``value`` in the option's own type; raises :class:`SettingsError` naming range, unit and choices."""
    if value is None and option.default is None:
        return None
    if option.type in (int, float):
        value = _number(value, option)
    elif option.type is Path:
        return Path(value)
    elif not isinstance(value, option.type):
        raise SettingsError(f"{option.name} takes {_kind(option.type)}, not {value!r}")
    if option.choices and value not in option.choices:
        raise SettingsError(f"{option.name} {value!r} is unknown; choose one of {', '.join(option.choices)}")
    return value


def _number(value: Any, option: Option) -> Any:
    real: type[Any] = numbers.Real  # numpy's numbers too
    if isinstance(value, bool) or not isinstance(value, real) or value != value:
        raise SettingsError(f"{option.name} takes {_kind(option.type)}, not {value!r}")
    low, high = option.low, option.high
    if (low is not None and value < low) or (high is not None and value > high):
        unit = f" {option.unit}" if option.unit else ""
        raise SettingsError(f"{option.name} {value} is out of range; choose {_range(low, high)}{unit}")
    if option.type is int and value != int(value):
        raise SettingsError(f"{option.name} takes a whole number, not {value!r}")
    return option.type(value)


def _kind(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(kind, kind.__name__)


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low} or more"
    return f"{low} to {high}"


def _check_fields(value: Any) -> None:
    for option in options(type(value)):
        object.__setattr__(value, option.name, _check(getattr(value, option.name), option))


_DIFFUSION = ("diffusion",)
_PREVIEW = ("preview",)


@dataclass(frozen=True)
class Settings:
    """How a video is made. A field that is None takes the model's own default (see ``variants.py``)."""

    model: str = _opt("preview", "what renders the frames", choices=tuple(VARIANTS), group="Model")
    device: str = _opt(
        "auto", "where the networks run", choices=("auto", "cuda", "mps", "cpu"), used_by=_DIFFUSION, group="Model"
    )
    dtype: str = _opt(
        "auto",
        "number format of the networks",
        choices=("auto", "fp16", "bf16", "fp32"),
        used_by=_DIFFUSION,
        group="Model",
    )
    weights: Path | None = _opt(
        None,
        "folder of the model files (else ECHOMIMIC_HOME, else the Hugging Face cache)",
        used_by=_DIFFUSION,
        group="Model",
    )
    vae: Path | None = _opt(
        None, "autoencoder to use instead of the model's own: a file or folder", used_by=_DIFFUSION, group="Model"
    )
    offload: str = _opt(
        "none",
        "what waits in main memory while it is not used: nothing, whole networks, or their parts",
        choices=("none", "model", "sequential"),
        used_by=_DIFFUSION,
        group="Model",
    )
    compile: bool = _opt(
        False, "compile the denoising network first: slower start, faster steps", used_by=_DIFFUSION, group="Model"
    )

    seed: int = _opt(0, "the same seed and inputs give the same video", low=0, high=MAX_SEED, group="Motion")
    expressiveness: float = _opt(
        1.0, "how far mouth and brows move; 0 keeps the face still", low=0, high=2, used_by=_PREVIEW, group="Motion"
    )
    head_motion: float = _opt(
        1.0, "how far the head moves; 0 keeps it still", low=0, high=2, used_by=_PREVIEW, group="Motion"
    )
    blink_rate: float = _opt(
        1.0, "how often the eyes blink, against the usual; 0 never", low=0, high=4, used_by=_PREVIEW, group="Motion"
    )
    gaze: float = _opt(
        1.0, "how far the eyes wander; 0 keeps the gaze fixed", low=0, high=2, used_by=_PREVIEW, group="Motion"
    )
    lips: str = _opt(
        "driver",
        "who moves the lips when a driver moves the face: the driver too, or the speech",
        choices=("driver", "speech"),
        used_by=_PREVIEW,
        group="Motion",
    )
    draw_mouth: bool = _opt(
        False,
        "draw the lips into V1's landmark maps, so that the driver moves them too",
        used_by=_DIFFUSION,
        group="Motion",
    )

    fps: float | None = _opt(None, "frame rate", unit="frames per second", low=5, high=100, shown=25.0)
    length: int = _opt(
        0, "number of frames; 0 is as long as the speech", unit="frames", low=0, high=10_000_000, widget=(0, 5000, 1)
    )
    width: int | None = _opt(
        None, "width of the video", unit="pixels", low=64, high=2160, widget=(128, 1024, 64), shown=512
    )
    height: int | None = _opt(
        None, "height of the video", unit="pixels", low=64, high=2160, widget=(128, 1024, 64), shown=512
    )
    size: int | None = _opt(
        None, "length of the video's shorter side; the picture's proportions are kept", unit="pixels", low=64, high=2160
    )
    crop: str = _opt(
        "none",
        "show the whole picture, or a square around the head (V1 crops by facecrop_ratio instead)",
        choices=("none", "head"),
        used_by=_PREVIEW,
    )
    paste_back: bool = _opt(False, "put the moving crop back into the whole picture, at its full size")

    cfg: float | None = _opt(
        None,
        "classifier-free guidance: how strongly speech and guide are followed; 1 is off",
        low=0,
        high=10,
        used_by=_DIFFUSION,
        group="Diffusion",
        shown=2.5,
    )
    steps: int | None = _opt(None, "denoising steps", low=1, high=100, used_by=_DIFFUSION, group="Diffusion", shown=30)
    sample_rate: int = _opt(
        16000,
        "kept for existing workflows: every engine listens at 16000 Hz, so it changes nothing",
        unit="Hz",
        low=8000,
        high=48000,
        used_by=(),
        group="Diffusion",
        widget=(8000, 48000, 1000),
    )
    facemask_ratio: float = _opt(
        0.1,
        "by how much of its size the face mask grows beyond the face (V1)",
        low=0,
        high=1,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    facecrop_ratio: float = _opt(
        0.8,
        "by how much of its size the crop grows beyond the face (V1); 1 is no crop",
        low=0,
        high=1,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    context_frames: int = _opt(
        12,
        "frames denoised together (at most 32, the length of the position table)",
        low=0,
        high=50,
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    context_overlap: int = _opt(
        3, "frames that neighbouring windows share", low=0, high=10, used_by=_DIFFUSION, group="Diffusion"
    )
    windows: str = _opt(
        "uniform",
        "uniform closes the last window over the first frames, as official; open never does",
        choices=("uniform", "open"),
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    scheduler: str = _opt(
        "ddim", "sampler: ddim as official, or the name of a diffusers scheduler", used_by=_DIFFUSION, group="Diffusion"
    )
    no_face: str = _opt(
        "error",
        "when no face is found (V1): stop, or let the mask cover the whole picture",
        choices=("error", "whole"),
        used_by=_DIFFUSION,
        group="Diffusion",
    )
    faithful: bool = _opt(
        False, "repeat every quirk of the official code that changes numbers", used_by=_DIFFUSION, group="Diffusion"
    )
    resume: bool = _opt(
        True, "go on where an interrupted run of the same job stopped", used_by=_DIFFUSION, group="Diffusion"
    )

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.context_frames > MAX_WINDOW:
            raise SettingsError(
                f"context_frames {self.context_frames} is too long: the motion modules know {MAX_WINDOW} positions; "
                f"choose {MAX_WINDOW} or fewer"
            )
        if self.context_frames and self.context_overlap >= self.context_frames:
            raise SettingsError(
                f"context_overlap {self.context_overlap} must be smaller than context_frames {self.context_frames}"
            )
        if self.size is not None and (self.width is not None or self.height is not None):
            raise SettingsError("give either size or width and height, not both")
        if self.paste_back and self.crop != "head" and self.variant.engine == "preview":
            raise SettingsError("paste_back needs crop head: without it the whole picture is shown anyway")
        self._check_sizes()

    def _check_sizes(self) -> None:
        low, high, step = self.variant.sizes
        for name in ("width", "height", "size"):
            value = getattr(self, name)
            if value is None:
                continue
            if not low <= value <= high:
                raise SettingsError(f"{name} {value} is out of range; {self.model} takes {low} to {high} pixels")
            if step > 2 and value % step:
                near = max(low, min(high, round(value / step) * step))
                raise SettingsError(f"{name} {value} is not a multiple of {step}; {near} is the nearest that works")

    @property
    def variant(self) -> Variant:
        """The row of ``variants.py`` that ``model`` names."""
        return variant(self.model)

    def resolved(self) -> "Settings":
        """The same settings with every None that the model has a default for filled in, the unread ones unset."""
        row, defaults = self.variant, {option.name: option.default for option in options(Settings)}
        used = dataclasses.replace(self, **{name: defaults[name] for name in self.unused()})
        return dataclasses.replace(
            used,
            fps=row.fps if self.fps is None else self.fps,
            cfg=row.cfg if self.cfg is None else self.cfg,
            steps=row.steps if self.steps is None else self.steps,
            context_frames=self.context_frames or 12,
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

    ``driver`` is ``auto`` (motion generated from the speech), ``none`` (V2's bundled pose; otherwise as auto),
    a motion file, a video, or a folder of official pose files.
    """

    portrait: Path = _opt(dataclasses.MISSING, "the photo or drawing", group="In and out")
    speech: Path = _opt(
        dataclasses.MISSING, "the speech: a sound file, or a video whose sound is used", group="In and out"
    )
    output: Path = _opt(
        dataclasses.MISSING, "the video to write: .mp4, .webm, or a folder for an image sequence", group="In and out"
    )
    driver: str = _opt(
        "auto", "source of motion: auto, none, a .npz file, a video, or a folder of pose files", group="Motion"
    )
    face: int = _opt(
        0, "which face when there are several: 0 is the largest, 1 the next", low=0, high=99, group="Motion"
    )
    overwrite: bool = _opt(False, "replace the output if it exists", group="In and out")
    allow_silence: bool = _opt(False, "make an idle video when the speech is silent", group="In and out")

    def __post_init__(self) -> None:
        object.__setattr__(self, "driver", str(self.driver))
        _check_fields(self)
