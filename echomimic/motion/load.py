"""Whatever a user names as a driver becomes a motion."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from threading import Lock

from echomimic.errors import DriverError
from echomimic.media.files import check_readable
from echomimic.motion.files.motion_file import Motion, read_motion
from echomimic.motion.files.official_poses import OFFICIAL_FPS
from echomimic.progress import Report, silent

_LOG = logging.getLogger(__package__)

GENERATED = ("auto", "none")
"""Drivers that name no file: the motion is made from the speech, or is the model's bundled one."""


class Driver:
    """A source of motion. What it names is read when it is first asked for, and once.

    source: ``auto`` (motion generated from the speech), ``none`` (V2's bundled pose; otherwise as auto), a
    motion file,
        a video, a folder of official pose files, or a motion itself.
    fps: frame rate of official folders, which do not name theirs.
    hands: follow body and hands in a video too, which takes longer.
    """

    def __init__(
        self, source: str | Path | Motion = "auto", *, fps: float = OFFICIAL_FPS, hands: bool = False
    ) -> None:
        self._motion = source if isinstance(source, Motion) else None
        self.name = "the motion" if isinstance(source, Motion) else str(source)
        self.fps, self.hands = fps, hands
        self._reading = Lock()

    @property
    def generated(self) -> bool:
        """Whether nothing is followed: the motion is made from the speech, or is the bundled one."""
        return self._motion is None and self.name in GENERATED

    def motion(self, report: Report = silent) -> Motion:
        """The motion that is followed. Raises :class:`DriverError` naming the file."""
        with self._reading:
            if self._motion is None:
                self._motion = motion_from(self.name, report, self.fps, hands=self.hands)
            return self._motion


def motion_from(
    path: Path | str, report: Report = silent, fps: float = OFFICIAL_FPS, *, hands: bool = False
) -> Motion:
    """The motion in a ``.npz`` file, in an official folder of pose files (at ``fps``), or of the person in a
    video.

    ``hands``: follow body and hands in a video too, which takes longer. Raises :class:`DriverError` naming
    the file.
    """
    path = Path(path)
    if not os.path.exists(path) or not path.is_dir():
        check_readable(path, DriverError, "a .npz file, a video, or a folder of pose files (or auto or none)")
    if path.is_dir() or path.suffix.lower() == ".npz":
        _LOG.info("driver %s: read as a %s", path, "folder of pose files" if path.is_dir() else "motion file")
        return read_motion(path, fps)
    _LOG.info("driver %s: followed as a video%s", path, ", hands too" if hands else "")
    from echomimic.motion.track.video import extract

    return extract(path, report, hands=hands)
