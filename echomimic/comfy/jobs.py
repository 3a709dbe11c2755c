"""One run of a node: its inputs become conditions, its frames an IMAGE and, if wanted, a file."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from echomimic import conditions, flow
from echomimic.comfy import folders, values
from echomimic.comfy.drivers import linked_driver
from echomimic.comfy.model_cache import Model
from echomimic.comfy.widgets import settings_options
from echomimic.conditions import Conditions
from echomimic.errors import ResourceError, SettingsError, SpeechError
from echomimic.media.image import Picture
from echomimic.media.video import Shape
from echomimic.progress import Report
from echomimic.request import Settings


@dataclass(frozen=True, eq=False)
class Rendered:
    """What a run made: frames as IMAGE, and the file, if it was kept, with its subfolder of the output folder."""

    image: torch.Tensor
    file: Path | None = None
    subfolder: str = ""


def prepare(
    image: Any, audio: Any, model: Any, pose_dir: str, driving: Any, widgets: Mapping[str, Any], report: Report
) -> Conditions:
    """The conditions of a node's inputs. Raises :class:`~echomimic.errors.InputError` with the remedy."""
    if not isinstance(model, Model):
        raise SettingsError("model is not an EchoMimic model; connect an Echo_LoadModel node")
    settings = job_settings(model.settings, widgets)
    picture, speech = values.picture_of(image), values.speech_of(audio)
    if speech.silent:
        raise SpeechError("audio is silent; load a recording in which speech can be heard")
    fps = settings.fps or settings.variant.fps
    driver = folders.driver_of(pose_dir) if driving is None else linked_driver(driving, fps)
    return conditions.gather(picture, speech, settings, driver=driver, name="image", report=report)


def job_settings(base: Settings, widgets: Mapping[str, Any]) -> Settings:
    """The model's settings with those widgets that it listens to. Raises :class:`SettingsError`."""
    engine = base.variant.engine
    heard = {option.name: widgets[option.name] for option in settings_options(widgets) if engine in option.used_by}
    return replace(base, **heard)


def render(job: Conditions, model: Model, save: bool, report: Report) -> Rendered:
    """All frames of the job; with ``save`` they are written to the output folder as they come."""
    shape = flow.video_shape(job)
    _check_room(shape)
    model.ready()
    with contextlib.ExitStack() as stack:
        frames: Iterator[Picture] = stack.enter_context(contextlib.closing(flow.render(job, model.engine, report)))
        if not save:
            return Rendered(values.image_of(frames, shape.frames))
        file, subfolder = folders.output_file(shape.width, shape.height)
        writer = stack.enter_context(flow.output_writer(job, file))
        return Rendered(values.image_of(_written(frames, writer), shape.frames), file, subfolder)


def _check_room(shape: Shape) -> None:
    """Raises :class:`ResourceError` when the frames, as an IMAGE, will not fit into main memory."""
    import comfy.model_management as management

    wanted = shape.frames * shape.height * shape.width * 3 * 4
    free = management.get_free_memory(torch.device("cpu"))
    if wanted > free:
        raise ResourceError(
            f"{shape.frames} frames of {shape.width}x{shape.height} take {wanted / 1e9:.1f} GB of memory, but "
            f"{free / 1e9:.1f} GB are free; lower length, width or height, or use the echomimic command, which streams"
        )


def _written(frames: Iterator[Picture], writer: Any) -> Iterator[Picture]:
    for frame in frames:
        writer.add(frame)
        yield frame


@contextlib.contextmanager
def said_plainly() -> Iterator[None]:
    """Turns a package that is not installed into one sentence with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] in ("echomimic", "comfy", "comfy_api", "folder_paths"):
            raise
        wanted = Path(__file__).parents[2] / "requirements.txt"
        what = f'-r "{wanted}"' if wanted.is_file() else missing.name
        raise ResourceError(
            f"the Python package {missing.name} is not installed; run: "
            f'"{sys.executable}" -m pip install {what} and restart ComfyUI'
        ) from None
