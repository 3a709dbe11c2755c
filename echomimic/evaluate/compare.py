"""Two sets of videos beside each other: paired differences of every figure,
with bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from echomimic.errors import InputError
from echomimic.evaluate.batch import VideoRow
from echomimic.evaluate.metrics import METRICS, Metric
from echomimic.evaluate.result import Evaluation

# Bootstrap (Efron 1979): seeded, so that the same videos give the same report.
RESAMPLES, SEED, CONFIDENCE = 10_000, 0, 0.95
LEAST_PAIRS = 3
"""Fewer pairs give no interval."""


@dataclass(frozen=True)
class Difference:
    """One figure of B against A. first, second: the means; difference: the mean of B − A over the pairs, and
    its 95 % interval (None with fewer than 3 pairs); of a figure with a best value, both are its distances
    from that. better: which set is better when the interval does not hold 0."""

    metric: Metric
    pairs: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    better: Literal["A", "B", ""]


def paired(first: Sequence[VideoRow], second: Sequence[VideoRow]) -> list[tuple[Evaluation, Evaluation]]:
    """The videos that both sets have, by the stem of their names; one on each side is a pair whatever its
    name.

    Raises InputError when there is no pair.
    """
    ours, theirs = (
        {r.item.video.stem: r.evaluation for r in rows if r.evaluation} for rows in (first, second)
    )
    if len(ours) == len(theirs) == 1:
        return [(next(iter(ours.values())), next(iter(theirs.values())))]
    pairs = [(ours[name], theirs[name]) for name in sorted(ours) if name in theirs]
    if not pairs:
        raise InputError("the two sets have no video of the same name; name both videos of a pair alike")
    return pairs


def differences(pairs: Sequence[tuple[Evaluation, Evaluation]]) -> list[Difference]:
    """Every figure that was measured in both videos of at least one pair, in the order of the table."""
    return [found for metric in METRICS if (found := _difference(metric, pairs)) is not None]


def _difference(metric: Metric, pairs: Sequence[tuple[Evaluation, Evaluation]]) -> Difference | None:
    values = [(_value(metric, a), _value(metric, b)) for a, b in pairs]
    known = np.array([(a, b) for a, b in values if a is not None and b is not None])
    if not len(known) or not metric.better:
        return None
    steps = known[:, 1] - known[:, 0]
    low, high = interval(steps) if len(steps) >= LEAST_PAIRS else (None, None)
    first, second = (float(mean) for mean in known.mean(0))
    better = _better(metric, low, high)
    return Difference(metric, len(known), first, second, float(steps.mean()), low, high, better)


def _value(metric: Metric, evaluation: Evaluation) -> float | None:
    if all(figure.name != metric.name for figure in evaluation.figures):
        return None
    value = evaluation[metric.name]
    return abs(value - metric.target) if value is not None and metric.better == "nearer" else value


def _better(metric: Metric, low: float | None, high: float | None) -> Literal["A", "B", ""]:
    if low is None or high is None or low <= 0 <= high:
        return ""
    rises = low > 0
    return "B" if rises == (metric.better == "higher") else "A"


def interval(steps: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean: percentile bootstrap, 10,000 resamples, always the same ones."""
    drawn = np.random.default_rng(SEED).integers(0, len(steps), (RESAMPLES, len(steps)))
    means = steps[drawn].mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
