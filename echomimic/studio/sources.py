"""What the edits of a take borrow from: other takes, motion files, clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.errors import DriverError
from echomimic.motion.files.performance_file import read_performance
from echomimic.motion.load import motion_from
from echomimic.motion.performance import Performance
from echomimic.motion.region import apply_edits, read_edits
from echomimic.motion.retarget.to_performance import performance_from_motion
from echomimic.progress import Report, silent
from echomimic.studio.database import Database, Row
from echomimic.studio.home import Home
from echomimic.studio.problems import Refused

DEEPEST = 3
"""How many takes may borrow from one another in a row."""
PERFORMANCE = "performance.npz"


def describe_sources(
    home: Home, database: Database, edits: Sequence[Mapping[str, Any]], depth: int = 0
) -> dict[str, Row]:
    """Where everything lies that the edits borrow from,
    as plain values for other processes. Raises Refused."""
    names = {str(edit["source"]) for edit in edits if edit.get("op") == "replace"}
    return {name: _described(home, database, name, depth) for name in sorted(names)}


def _described(home: Home, database: Database, name: str, depth: int) -> Row:
    if name[:1] == "t":
        take = database.row("SELECT * FROM takes WHERE id = ?", [name])
        path = home.take(name) / PERFORMANCE if take else None
        if take is None or path is None or not path.is_file():
            raise Refused("invalid", f"the source {name[:80]!r} is no take that was rendered by the preview")
        kept = take["edits"] if depth < DEEPEST else []
        return {
            "performance": str(path),
            "edits": kept,
            "sources": describe_sources(home, database, kept, depth + 1),
        }
    row = database.row("SELECT * FROM assets WHERE id = ? AND kind IN ('motion', 'video')", [name])
    if row is None:
        raise Refused("invalid", f"the source {name[:80]!r} is no take, motion or video")
    path = home.file(row["digest"], row["suffix"])
    followed = path if row["kind"] == "motion" else path.with_suffix(".motion.npz")
    return {"video": str(path), "motion": str(followed)}


class Borrowed:
    """Gives the performance that a name stands for. ``points`` (478, 3) are the portrait's face.

    ``patient`` ones follow a clip that was never followed before; others leave its edit out (``missing``).
    """

    def __init__(
        self,
        described: Mapping[str, Row],
        points: npt.NDArray[np.float32] | None,
        patient: bool,
        report: Report = silent,
    ) -> None:
        self.described, self.points, self.patient, self.report = described, points, patient, report

    def __call__(self, name: str) -> Performance:
        """Raises :class:`DriverError` when it cannot be had."""
        found = self.described.get(name)
        if found is None:
            raise DriverError(f"the source {name} is gone; remove the edit that uses it")
        if "performance" in found:
            inner = Borrowed(found["sources"], self.points, self.patient, self.report)
            return apply_edits(read_performance(found["performance"]), read_edits(found["edits"]), inner)
        motion = Path(found["motion"])
        if not motion.is_file():
            motion_from(found["video"], self.report).save(motion)
        face = motion_from(motion).face
        if face is None:
            raise DriverError("the source shows a body without a face; choose another")
        return performance_from_motion(face, self.points)

    def missing(self) -> set[str]:
        """Clips that would have to be followed first."""
        return {
            name
            for name, found in self.described.items()
            if "motion" in found and not Path(found["motion"]).is_file()
        }


def with_edits(base: Performance, edits: Sequence[Mapping[str, Any]], borrowed: Borrowed) -> Performance:
    """The performance with its edits; those whose clip is not there yet are left out unless there is time."""
    absent = set() if borrowed.patient else borrowed.missing()
    return apply_edits(base, read_edits([e for e in edits if e.get("source") not in absent]), borrowed)
