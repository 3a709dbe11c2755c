"""What directing a take means for a model that draws every picture itself: the motion that it follows.

V1's pose models follow the face of the take that was directed, V2 follows the hands; V1's others hear the
sound alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from echomimic.conditions import Conditions
from echomimic.driving import hands
from echomimic.errors import DriverError
from echomimic.motion.body_pose import BodyPose
from echomimic.motion.files.motion_file import Motion
from echomimic.motion.load import GENERATED, motion_from
from echomimic.motion.region import read_edits
from echomimic.motion.region_hands import apply_hand_edits
from echomimic.progress import Report, silent
from echomimic.studio.database import Database, Row
from echomimic.studio.home import Home
from echomimic.studio.sources import describe_sources
from echomimic.studio.take_motion import has_performance, write_motion
from echomimic.variants import VARIANTS

DIRECTED = "directed.npz"
HANDS_BESIDE = ".hands.npz"
"""Ends the name of the file beside a clip that holds the hands in it."""


class BorrowedHands:
    """Gives the body pose that a name stands for. ``patient`` ones follow a clip that was never followed
    before; others leave its edit out (``missing``)."""

    def __init__(self, described: Mapping[str, Row], patient: bool, report: Report = silent) -> None:
        self.described, self.patient, self.report = described, patient, report

    def __call__(self, name: str) -> BodyPose:
        """Raises :class:`DriverError` when there are no hands to be had."""
        found = self.described.get(name, {})
        if "video" not in found:
            raise DriverError(
                "hands are taken from a clip or a motion file; choose one of them as the source"
            )
        kept = _hands_file(found)
        if not kept.is_file():
            motion_from(found["video"], self.report, hands=True).save(kept)
        body = motion_from(kept).body
        if body is None:
            raise DriverError("the source shows no hands; choose a clip or a motion file that does")
        return body

    def missing(self) -> set[str]:
        """Clips whose hands would have to be followed first."""
        found = self.described.items()
        return {name for name, one in found if "video" in one and not _hands_file(one).is_file()}


def _hands_file(described: Row) -> Path:
    """A motion file itself, or what lies beside a clip once its hands were followed."""
    path = Path(described["video"])
    return path if described["motion"] == described["video"] else path.with_suffix(HANDS_BESIDE)


def directed_hands(base: BodyPose, edits: Sequence[Mapping[str, Any]], borrowed: BorrowedHands) -> BodyPose:
    """The hands with the edits that are theirs; those whose clip is not there yet are left out unless there
    is time."""
    absent = set() if borrowed.patient else borrowed.missing()
    return apply_hand_edits(base, read_edits([e for e in edits if e.get("source") not in absent]), borrowed)


def directed_driver(
    home: Home, database: Database, take: Row, conditions: Callable[[], Conditions], report: Report
) -> Path | None:
    """The motion file that a directed take of V1 or V2 follows; None where its driver is to be followed as it
    is. It is written once, so that what was stopped goes on with the same."""
    path = home.take(take["id"]) / DIRECTED
    guide = VARIANTS[take["model"]].guide
    if path.is_file():
        return path
    if guide == "landmarks" and (origin := _acted_origin(home, database, take)) is not None:
        edited = {**origin, "edits": take["edits"]}
        write_motion(home, edited, describe_sources(home, database, take["edits"]), path)
        return path
    if guide == "hands" and any(edit.get("track", "all") in ("hands", "all") for edit in take["edits"]):
        described = describe_sources(home, database, take["edits"])
        body = directed_hands(
            hands(conditions(), report), take["edits"], BorrowedHands(described, True, report)
        )
        Motion(body=body).save(path)
        return path
    return None


def _acted_origin(home: Home, database: Database, take: Row) -> Row | None:
    """The take that this one was made from, where its face can be followed and nothing else was chosen."""
    if take["request"].get("driver", "auto") not in GENERATED or not take["origin"]:
        return None
    origin = database.row("SELECT * FROM takes WHERE id = ?", [take["origin"]])
    return origin if origin is not None and has_performance(home, origin["id"]) else None


def undirected(take: Row) -> str:
    """What is said where the edits of a take change nothing, or nothing at all."""
    if not take["edits"] or VARIANTS[take["model"]].guide != "mask":
        return ""
    return f"{take['model']} follows the sound alone, so the edits change nothing; v1-pose follows them"
