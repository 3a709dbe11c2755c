"""What is told of a job while it runs."""

import time
from pathlib import Path
from typing import Any, cast

import pytest

from echomimic.progress import Progress
from echomimic.studio.home import Home
from echomimic.studio.jobs import Jobs
from echomimic.studio.report import JobReport


class HeldJob:
    """What is noted of one job; nothing of it is stored."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def hold(self, _id: str, _worker: str, **values: Any) -> bool:
        self.told |= values
        return True


@pytest.mark.parametrize(("model", "stage", "after"), [("preview", "rendering", 0), ("v1", "denoising", 10)])
def test_the_time_left_follows_the_stage_that_takes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, stage: Any, after: float
) -> None:
    """However long what came before it took, and when it goes on from an earlier run."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for start in (0, 400):
        held = HeldJob()
        row = {"id": "j", "model": model, "kind": "render", "preview": 0, "take": "t"}
        tell = JobReport(Home(tmp_path), cast(Jobs, held), row, "w")
        for clock[0] in (0.0, 1.0):
            tell(Progress("audio", int(clock[0]), 1))
        for n in range(11):
            clock[0] = 20.0 + n
            tell(Progress(stage, start + 10 * n, 1000))
        assert held.told["left"] == pytest.approx((1000 - start - 100) / 10 + after * 100 / 88, rel=0.01)
