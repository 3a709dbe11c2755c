"""The whole flow on one screen: a portrait and a speech become conditions,
an engine makes frames, frames a video."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echomimic import conditions
from echomimic import engine as engines
from echomimic.conditions import Conditions
from echomimic.engine import Engine
from echomimic.errors import SettingsError
from echomimic.keywords import LoadOptions, Options
from echomimic.media.image import Picture
from echomimic.media.output import claimed
from echomimic.media.video import Shape, Writer, check_output, open_writer
from echomimic.motion.load import GENERATED
from echomimic.option import options as options_of
from echomimic.progress import NoteTaker, Progress, Report, say, silent
from echomimic.provenance.label import Label, make_label
from echomimic.provenance.marks import marks_for
from echomimic.provenance.seal import seal_for, tags_for
from echomimic.ranks import Ranks
from echomimic.request import Request, Settings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Result:
    """What was made: where, how long (frames, seconds), how fast, from which seed and model, and remarks."""

    output: str
    frames: int
    seconds: float
    fps: float
    width: int
    height: int
    seed: int
    model: str
    took: float
    notes: tuple[str, ...] = ()


def animate(
    portrait: Path | str,
    speech: Path | str,
    output: Path | str,
    *,
    engine: Engine | None = None,
    report: Report | None = None,
    **options: Unpack[Options],
) -> Result:
    """Makes a talking video of the person in ``portrait`` saying ``speech``, and writes it to ``output``.

    ``engine`` is one from :func:`echomimic.load`, to be used again; without it the model is loaded for this
    video. ``report`` is called with an :class:`echomimic.Progress` often and cheaply; what it raises stops
    the work, and nothing is left half-written. ``options`` are the fields of
    :class:`~echomimic.request.Request` and
    :class:`~echomimic.request.Settings` (``seed=1``, ``model="v2"``, ``overwrite=True``, …).
    Raises the errors of :mod:`echomimic.errors`.
    """
    given: dict[str, Any] = {**options}
    ours = {option.name for option in options_of(Request)}
    unknown = sorted(set(given) - ours - {option.name for option in options_of(Settings)})
    if unknown:
        raise SettingsError(f"unknown option {unknown[0]!r}; see echomimic.Settings for the names there are")
    request = Request(
        Path(portrait), Path(speech), Path(output), **{k: v for k, v in given.items() if k in ours}
    )
    settings = _settings({k: v for k, v in given.items() if k not in ours}, engine)
    return run(request, settings, report or silent, engine)


def _settings(given: dict[str, Any], engine: Engine | None) -> Settings:
    """The settings of one video; those that a loaded engine was loaded with are the engine's."""
    if engine is None:
        return Settings(**given)
    settings = dataclasses.replace(engine.settings, **given)
    for name in ("model", *LoadOptions.__annotations__):
        wanted, loaded = getattr(settings, name), getattr(engine.settings, name)
        if wanted != loaded:
            remedy = f"leave {name} out, or load another engine"
            raise SettingsError(
                f"{name} is {wanted}, but the engine was loaded with {loaded}; {remedy}", name
            )
    return settings


def run(
    request: Request, settings: Settings, report: Report = silent, loaded: Engine | None = None
) -> Result:
    """One job from files to file; ``loaded`` is an engine to use again."""
    _check_output(request, settings)
    with claimed(request.output):
        return _run(request, settings, report, loaded)


def _check_output(request: Request, settings: Settings) -> None:
    driver = None if request.driver in GENERATED else request.driver
    inputs = (request.portrait, request.speech, driver, settings.weights, settings.vae)
    check_output(request.output, request.overwrite, inputs)


def run_together(request: Request, settings: Settings, report: Report, ranks: Ranks) -> Result | None:
    """One job of all processes that torchrun started: every one reads, denoises and blends, the first one
    writes.

    Returns its result there, None in the others. An error of one process ends all: the first one raises it.
    """
    if settings.variant.engine != "diffusion":
        remedy = "start it without torchrun, or choose a V1 or V2 model"
        raise SettingsError(f"{settings.model} is rendered by one process; {remedy}")
    from echomimic.diffusion.engine import DiffusionEngine
    from echomimic.diffusion.exchange import join_ranks, on_own_device

    with join_ranks(ranks) as exchange:
        if ranks.rank == 0:
            _check_output(request, settings)
        engine = engines.load(on_own_device(settings, ranks), report)
        assert isinstance(engine, DiffusionEngine)
        engine.exchange = exchange
        if ranks.rank == 0:
            return run(request, settings, report, engine)
        with contextlib.closing(engine.frames(_gathered(request, settings, None, report))) as frames:
            assert next(frames, None) is None, "a helper makes no pictures"
    return None


def _run(request: Request, settings: Settings, report: Report, loaded: Engine | None) -> Result:
    """The job whose output is checked and claimed."""
    began, report = time.monotonic(), NoteTaker(report)
    job = _gathered(request, settings, request.output, report)
    shape, writes = video_shape(job), output_writer(job, request.output, request.overwrite, ours=True)
    engine = loaded or engines.load(job.settings, report)
    with (
        writes as writer,
        contextlib.closing(render(job, engine, report)) as frames,
    ):
        for frame in frames:
            writer.add(frame)
    engine.finished(job)
    took = time.monotonic() - began
    seed, model = job.settings.seed, job.settings.model
    size = (shape.width, shape.height)
    return Result(
        str(request.output),
        job.frames,
        job.seconds,
        job.fps,
        *size,
        seed,
        model,
        round(took, 2),
        tuple(report.notes),
    )


def _gathered(request: Request, settings: Settings, output: Path | None, report: Report) -> Conditions:
    """What was asked for, read; the state of an unfinished run is kept beside ``output``."""
    return conditions.gather(
        request.portrait,
        request.speech,
        settings,
        driver=request.driver,
        face=request.face,
        allow_silence=request.allow_silence,
        output=output,
        report=report,
    )


def render(
    conditions: Conditions, engine: Engine, report: Report = silent, *, frames: range | None = None
) -> Generator[Picture, None, None]:
    """The finished frames of a video, in order; a head crop is put back into the picture where that was asked
    for, and the label drawn that was asked for.

    ``frames`` are the numbers of those that are wanted, all when None; they equal the same frames of the
    whole video.
    Raises :class:`SettingsError` when they are not in it.
    """
    wanted, label = checked_range(frames, conditions.frames), label_for(conditions)
    for note in conditions.notes:
        say(report, note)
    with contextlib.closing(engine.frames(conditions, report, wanted)) as rendered:
        for done, frame in enumerate(rendered, 1):
            report(Progress("rendering", done, len(wanted), preview=frame))
            canvas = conditions.canvas
            whole = conditions.view.paste(frame, canvas) if canvas is not None else frame
            yield label.draw(whole, wanted[done - 1]) if label else whole


def checked_range(frames: range | None, count: int) -> range:
    """``frames``, or all ``count`` of a video; raises :class:`SettingsError` when some are not in it."""
    if frames is None:
        return range(count)
    if frames.step != 1 or not 0 <= frames.start < frames.stop <= count:
        raise SettingsError(
            f"{frames} is not a part of the video; choose a range within range(0, {count}), step 1"
        )
    return frames


def label_for(job: Conditions) -> Label | None:
    """The visible label on the frames of ``job``; raises :class:`SettingsError` when it does not fit."""
    return make_label(job.settings, *video_size(job), job.fps, job.frames)


def video_size(job: Conditions) -> tuple[int, int]:
    """(width, height) of the video that ``job`` makes."""
    if job.canvas is not None:
        return job.canvas.shape[1], job.canvas.shape[0]
    return job.view.width, job.view.height


def video_shape(job: Conditions) -> Shape:
    """Size, rate, length and tags of the video that ``job`` makes."""
    return Shape(*video_size(job), job.fps, job.frames, marks_for(job).tags)


def output_writer(
    job: Conditions,
    output: Path,
    overwrite: bool = False,
    *,
    ours: bool = False,
    carried: Mapping[str, str] | None = None,
) -> Writer:
    """A writer of the video that ``job`` makes, with its marks and, where asked for, its signature.

    ``ours``: the caller has claimed ``output`` already. ``carried``: further tags, beside ours.
    """
    marks = marks_for(job)
    seal = seal_for(job, marks, output, overwrite)
    shape = dataclasses.replace(video_shape(job), tags={**(carried or {}), **tags_for(marks, output)})
    return open_writer(output, shape, job.speech, overwrite, ours=ours, seal=seal)
