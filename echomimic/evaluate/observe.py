"""One pass over a video: every frame is decoded once, its face followed once, and shown to every meter."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from echomimic.errors import DriverError
from echomimic.evaluate.face_meter import Meter, Shot
from echomimic.evaluate.lips import Heard
from echomimic.evaluate.result import Values
from echomimic.faces.track import FaceTracker
from echomimic.media.image import Picture
from echomimic.media.probe import MediaInfo
from echomimic.progress import Progress, Report, Stage

STAGE: Stage = "evaluating"
_EVERY = 5


@dataclass(frozen=True)
class Observed:
    """Everything that was measured in one video; what the metrics are computed from."""

    fps: float
    frames: int
    series: Mapping[str, Values]
    totals: Mapping[str, float]
    media: MediaInfo
    sound_seconds: float | None
    heard: Heard | None

    def of(self, name: str) -> Values:
        """A series by name; all NaN when nobody measured it."""
        return self.series.get(name, np.full(self.frames, np.nan))

    def mean(self, name: str) -> float | None:
        """The mean of a series where it was measured."""
        known = self.of(name)[np.isfinite(self.of(name))]
        return float(known.mean()) if len(known) else None


@dataclass(frozen=True)
class Pass:
    """What one pass gave: series by name, totals by name, the number of frames."""

    series: dict[str, Values]
    totals: dict[str, float]
    frames: int


def watch(frames: Iterable[Picture], meters: Sequence[Meter], expected: int, report: Report) -> Pass:
    """Shows every frame to every meter. Memory: a few numbers per frame (some 200 bytes), and no picture.

    Raises DriverError when the frames change their size midway.
    """
    tracker, number = FaceTracker(), -1
    columns: dict[str, array.array[float]] = {}
    for number, picture in enumerate(frames):
        if number % _EVERY == 0:
            report(Progress(STAGE, number, max(expected, number)))
        shot = Shot(number, picture, tracker.track(picture))
        _store(columns, number, {"face": float(shot.face is not None)})
        for meter in meters:
            _store(columns, number, meter.read(shot))
    count = number + 1
    if not count:
        raise DriverError("the video holds no frames that can be decoded; convert it to H.264 mp4")
    report(Progress(STAGE, count, count))
    totals = {name: value for meter in meters for name, value in meter.totals().items()}
    return Pass({name: _filled(column, count) for name, column in columns.items()}, totals, count)


def _store(columns: dict[str, array.array[float]], number: int, read: Mapping[str, float]) -> None:
    for name, value in read.items():
        column = columns.setdefault(name, array.array("f"))
        column.extend([float("nan")] * (number - len(column)))
        column.append(value)


def _filled(column: array.array[float], count: int) -> Values:
    values = np.full(count, np.nan)
    values[: len(column)] = np.frombuffer(column, np.float32)
    return values
