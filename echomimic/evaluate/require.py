"""Requirements such as ``lag<=45`` that a video must meet, for continuous integration."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

from echomimic.errors import SettingsError
from echomimic.evaluate.metrics import METRICS, Metric
from echomimic.evaluate.result import Evaluation

_FORM = re.compile(r"\s*([A-Za-z_]+)\s*(<=|>=|<|>)\s*([-+]?\d+(?:\.\d+)?)\s*")
_TESTS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_SHORT = {"sync": "opening_r", "lips": "opening_r"}


@dataclass(frozen=True)
class Requirement:
    """A figure and the limit it must keep.
    Of figures that are best at 0 (lag, gaps) the size counts, not the sign."""

    metric: Metric
    sign: str
    limit: float

    @property
    def text(self) -> str:
        """As it was asked for."""
        return f"{self.metric.name}{self.sign}{self.limit:g}"

    def failure(self, evaluation: Evaluation) -> str:
        """Why a video does not meet it, in one line; empty when it does."""
        names = [figure.name for figure in evaluation.figures]
        if self.metric.name not in names:
            return f"{self.text}: not measured (needs {self.metric.needs})"
        figure = evaluation.figure(self.metric.name)
        if figure.value is None:
            return f"{self.text}: not measured ({figure.note})"
        centred = self.metric.better == "nearer" and self.metric.target == 0
        value = abs(figure.value) if centred else figure.value
        return (
            "" if _TESTS[self.sign](value, self.limit) else f"{self.text}: it is {figure.shown.lstrip('+')}"
        )


def read_requirement(text: str) -> Requirement:
    """``name<=number`` (also ``>=``, ``<``, ``>``); the name may leave out its unit. Raises SettingsError."""
    found = _FORM.fullmatch(text)
    if not found:
        raise SettingsError(f"{text!r} is no requirement; write it like lag<=45 or identity>=0.9")
    name, sign, limit = found.groups()
    return Requirement(_named(name.lower()), sign, float(limit))


def _named(name: str) -> Metric:
    for metric in METRICS:
        if metric.name in (name, f"{name}_ms", _SHORT.get(name)):
            return metric
    raise SettingsError(f"there is no figure {name!r}; choose one of {', '.join(m.name for m in METRICS)}")
