"""One run of a node: its inputs become conditions, its frames an IMAGE and, if wanted, a file."""

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from echomimic import conditions, flow
from echomimic.comfy import folders, values
from echomimic.comfy.bar import NodeBar
from echomimic.comfy.drivers import linked_driver
from echomimic.comfy.model_cache import Model
from echomimic.comfy.tagged import TaggedVideo
from echomimic.comfy.widgets import idle, settings_options
from echomimic.conditions import Conditions
from echomimic.errors import EchoMimicError, ResourceError, SettingsError
from echomimic.media.image import Picture
from echomimic.media.video import Shape
from echomimic.option import options
from echomimic.request import Request, Settings
from echomimic.variants import Variant

_KNOWN = {option.name: option for option in (*options(Settings), *options(Request))}


@dataclass(frozen=True, eq=False)
class NodeInputs:
    """The inputs of a node; ``widgets`` are options by name."""

    image: Any
    audio: Any
    model: Any
    pose_dir: str
    driving: Any
    widgets: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Ready:
    """A picture's job, ready to be rendered by ``model``; ``audio`` is the AUDIO its sound comes from."""

    job: Conditions
    model: Model
    audio: Any


@dataclass(frozen=True, eq=False)
class Rendered:
    """What a job made: frames as IMAGE, sound, rate, VIDEO, and the file,
    if one was kept, with its subfolder."""

    image: torch.Tensor
    sound: Any
    rate: float
    video: Any
    file: Path | None = None
    subfolder: str = ""


def sorted_out(widgets: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The options among a node's further inputs, and the names of those that are none."""
    return {n: v for n, v in widgets.items() if n in _KNOWN}, tuple(n for n in widgets if n not in _KNOWN)


def each(sources: NodeInputs, report: NodeBar) -> Iterator[Ready]:
    """The job of every picture, one after the other.
    Raises :class:`~echomimic.errors.InputError` with the remedy."""
    if not isinstance(sources.model, Model):
        raise SettingsError("model is not an EchoMimic model; connect an Echo_LoadModel node")
    settings = job_settings(sources.model.settings, sources.widgets, report)
    pictures, speech = values.pictures_of(sources.image), values.speech_of(sources.audio)
    fps = settings.fps or settings.variant.fps
    linked = sources.driving is not None
    driver = linked_driver(sources.driving, fps) if linked else folders.driver_of(sources.pose_dir)
    asked = {name: sources.widgets[name] for name in ("face", "allow_silence") if name in sources.widgets}
    for number, picture in enumerate(pictures):
        report.begin(number, len(pictures))
        name = "image" if len(pictures) == 1 else f"picture {number + 1} of image"
        job = conditions.gather(picture, speech, settings, driver=driver, name=name, report=report, **asked)
        if number == 0:
            _check_room(flow.video_shape(job), len(pictures))
        yield Ready(job, sources.model, sources.audio)


def job_settings(base: Settings, widgets: Mapping[str, Any], report: NodeBar) -> Settings:
    """The model's settings with those widgets that it listens to. Raises :class:`SettingsError`."""
    ours, unheard = {f.name for f in fields(Settings)}, idle(base.variant)
    heard = {
        o.name: widgets[o.name] for o in settings_options(widgets) if o.name in ours and o.name not in unheard
    }
    if heard.get("size", 0) == 0:
        heard.pop("size", None)
    else:
        heard = {name: value for name, value in heard.items() if name not in ("width", "height")}
        report.note(f"size {heard['size']} decides: width and height follow the picture")
    return replace(base, **{**heard, **_accelerated(base.variant, heard, report)})


def _accelerated(row: Variant, heard: Mapping[str, Any], report: NodeBar) -> dict[str, Any]:
    """Steps and cfg of an accelerated model, where the node still shows the first values of the others."""
    chosen = {}
    for name, wanted in (("steps", row.steps), ("cfg", row.cfg)):
        shown = _KNOWN[name].shown
        if row.engine == "diffusion" and wanted != shown and heard.get(name, shown) == shown:
            chosen[name] = wanted
            report.note(
                f"{name} {wanted:g} instead of {shown:g}, as {row.name} wants; "
                "set another value to choose yours"
            )
    return chosen


def render_job(ready: Ready, save: bool, workflow: Mapping[str, Any], report: NodeBar) -> Rendered:
    """All frames of a job; with ``save`` they are written to the output folder as they come,
    with the workflow."""
    job, shape = ready.job, flow.video_shape(ready.job)
    ready.model.ready()
    file, subfolder = folders.output_file(shape.width, shape.height) if save else (None, "")
    with contextlib.ExitStack() as stack:
        frames: Iterator[Picture] = stack.enter_context(
            contextlib.closing(flow.render(job, ready.model.engine, report))
        )
        if file is not None:
            carried = {name: json.dumps(value) for name, value in workflow.items()}
            writer = stack.enter_context(flow.output_writer(job, file, carried=carried))
            frames = _written(frames, writer)
        image = values.image_of(frames, shape.frames)
    sound = values.sound_of(ready.audio, image.shape[0] / job.fps)
    video = TaggedVideo.of(image, sound, job.fps, shape)
    return Rendered(image, sound, float(job.fps), video, file, subfolder)


def _check_room(shape: Shape, videos: int) -> None:
    """Raises :class:`ResourceError` when the frames, as IMAGEs, will not fit into main memory."""
    import comfy.model_management as management

    wanted = videos * shape.frames * shape.height * shape.width * 3 * 4
    free = management.get_free_memory(torch.device("cpu"))
    if wanted > free:
        raise ResourceError(
            f"{videos * shape.frames} frames of {shape.width}x{shape.height} take {wanted / 1e9:.1f} GB of "
            f"memory, but {free / 1e9:.1f} GB are free; lower length, width or height, "
            "or use the echomimic command, which streams"
        )


def _written(frames: Iterable[Picture], writer: Any) -> Iterator[Picture]:
    for frame in frames:
        writer.add(frame)
        yield frame


@contextlib.contextmanager
def said_plainly(linked: bool = False) -> Iterator[None]:
    """Says faults in the words of the node: options by their inputs' names, missing packages with the
    command.

    ``linked`` is whether the motion came from the input ``driving`` rather than ``pose_dir``.
    """
    try:
        yield
    except EchoMimicError as fault:
        fault.args = (in_node_words(str(fault), linked), *fault.args[1:])
        raise
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] in ("echomimic", "comfy", "comfy_api", "folder_paths"):
            raise
        wanted = Path(__file__).parents[2] / "requirements.txt"
        what = f'-r "{wanted}"' if wanted.is_file() else missing.name
        raise ResourceError(
            f"the Python package {missing.name} is not installed; run: "
            f'"{sys.executable}" -m pip install {what} and restart ComfyUI'
        ) from None


def in_node_words(message: str, linked: bool = False) -> str:
    """A message of the package with the node's inputs for the command line's options."""

    def named(option: "re.Match[str]") -> str:
        name = option[1].replace("-", "_")
        if name == "driver":
            return "driving" if linked else "pose_dir"
        return name if name in _KNOWN else option[0]

    return re.sub(r"(?<![\w-])--([a-z][a-z-]*)", named, message)
