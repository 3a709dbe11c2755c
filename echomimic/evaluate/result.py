"""What an evaluation gives: figures, what they were measured by, the series behind them,
and the worst moments."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from echomimic.errors import SettingsError

Values = npt.NDArray[np.float64]
"""(F,) one number per frame; NaN where it was not measured."""

Verdict = Literal["good", "poor", ""]


@dataclass(frozen=True)
class Figure:
    """One number about a video; `value` is None when it could not be measured, and `note` then says why."""

    name: str
    title: str
    group: str
    unit: str
    value: float | None
    shown: str
    """The value as a person reads it, with as many digits as it is good for."""
    wanted: str
    """The good range, in words."""
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True)
class WorstMoment:
    """Where something is at its worst: seconds from the start, what it is,
    and how far beyond its good range."""

    seconds: float
    title: str
    text: str
    severity: float


@dataclass(frozen=True)
class Evaluation:
    """How good one video is.

    figures: in the order of the table. series: per frame, by name (`opening`, `heard_opening`, `jitter`, …);
    NaN where nothing was measured. worst: the worst moments, worst first. protocol: how the figures were
    measured, one line for each judge, with digests of the weights used. notes: what a reader should know
    before trusting a figure.
    """

    video: str
    frames: int
    fps: float
    size: tuple[int, int]
    figures: tuple[Figure, ...]
    series: Mapping[str, Values] = field(repr=False)
    worst: tuple[WorstMoment, ...]
    protocol: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long the pictures last."""
        return self.frames / self.fps

    def figure(self, name: str) -> Figure:
        """The figure of that name. Raises SettingsError when there is none."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise SettingsError(
            f"there is no figure {name!r}; choose one of {', '.join(f.name for f in self.figures)}"
        )

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """What could not be measured: one line for each thing that was lacking."""
        lacking: dict[str, list[str]] = {}
        for figure in self.figures:
            if figure.value is None:
                lacking.setdefault(figure.note, []).append(figure.title)
        return tuple(f"{note}: {', '.join(titles)}" for note, titles in lacking.items())

    def __getitem__(self, name: str) -> float | None:
        return self.figure(name).value

    def to_json(self) -> str:
        """One line: every figure by name (null when not measured), protocol, worst moments and notes."""
        told = {
            "video": self.video,
            "frames": self.frames,
            "fps": round(self.fps, 4),
            "width": self.size[0],
            "height": self.size[1],
            **{figure.name: _plain(figure.value) for figure in self.figures},
            "worst": [{"seconds": round(m.seconds, 3), "what": m.title, "text": m.text} for m in self.worst],
            "protocol": list(self.protocol),
            "notes": list(self.notes),
        }
        return json.dumps(told, ensure_ascii=False)


def _plain(value: float | None) -> float | None:
    """Rounded to what a rerun on another machine gives too."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
