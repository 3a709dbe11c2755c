"""How good a take is, measured in a process of its own:
``python -m echomimic.studio.meter`` (see ``child``)."""

import dataclasses
import math
from typing import Any

from echomimic.evaluate.result import Figure, WorstMoment
from echomimic.evaluate.run import evaluate
from echomimic.studio.child import Answer, Question, answer_all


def measure_take(question: Question) -> Answer:
    """The figures of a video as plain values."""
    found = evaluate(question["video"], speech=question["speech"], portrait=question["portrait"])
    figures, worst = ([_plain(one) for one in part] for part in (found.figures, found.worst))
    return {
        "figures": figures,
        "worst": worst,
        "protocol": list(found.protocol),
        "notes": list(found.notes),
    }, b""


def _plain(one: Figure | WorstMoment) -> dict[str, Any]:
    """As JSON takes it: what is no number is null."""
    values = dataclasses.asdict(one)
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


if __name__ == "__main__":
    answer_all(measure_take)
