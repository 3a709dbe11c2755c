"""The motion of a take as a file: what its face does after edits, in pixels of its video."""

from pathlib import Path

import numpy as np

from echomimic.motion.files.motion_file import Motion
from echomimic.motion.files.performance_file import read_performance
from echomimic.motion.retarget.from_performance import motion_from_performance
from echomimic.studio.database import Database, Row
from echomimic.studio.home import Home
from echomimic.studio.problems import Refused
from echomimic.studio.scene import SCENE_POINTS
from echomimic.studio.sources import PERFORMANCE, Borrowed, describe_sources, with_edits


def motion_file(home: Home, database: Database, take: str) -> Path:
    """Writes the take's motion beside it, anew when it has changed;
    raises :class:`Refused` when it has none."""
    row = database.row("SELECT * FROM takes WHERE id = ?", [take])
    if row is None or not has_performance(home, take):
        raise Refused(
            "conflict", "the take has no performance: it is not rendered yet, or not by the preview"
        )
    path = home.take(take) / f"motion-{row['revision']}.npz"
    if not path.is_file():
        for old in home.take(take).glob("motion-*.npz"):
            old.unlink(missing_ok=True)
        write_motion(home, row, describe_sources(home, database, row["edits"]), path)
    return path


def write_motion(home: Home, row: Row, described: dict[str, Row], path: Path) -> None:
    """Writes the motion of a take."""
    folder = home.take(row["id"])
    points = np.load(folder / SCENE_POINTS)
    acted = with_edits(
        read_performance(folder / PERFORMANCE), row["edits"], Borrowed(described, points, True)
    )
    Motion(face=motion_from_performance(acted, points, (row["width"], row["height"]))).save(path)


def has_performance(home: Home, take: str) -> bool:
    """Whether a take was acted by the preview."""
    return (home.take(take) / PERFORMANCE).is_file() and (home.take(take) / SCENE_POINTS).is_file()
