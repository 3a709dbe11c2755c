"""Whatever a user names as a driver becomes a motion."""

from pathlib import Path

from echomimic.errors import DriverError
from echomimic.motion.files.motion_file import Motion, read_motion
from echomimic.motion.files.official_poses import OFFICIAL_FPS
from echomimic.progress import Report, silent

GENERATED = ("auto", "none")
"""Drivers that name no file: the motion is made from the speech, or is the model's bundled one."""


def motion_from(path: Path | str, report: Report = silent, fps: float = OFFICIAL_FPS, *, hands: bool = False) -> Motion:
    """The motion in a ``.npz`` file, in an official folder of pose files (at ``fps``), or of the person in a video.

    ``hands``: follow body and hands in a video too, which takes longer. Raises :class:`DriverError` naming the file.
    """
    path = Path(path)
    if not path.exists():
        raise DriverError(f"{path}: no such driver; give auto, none, a .npz file, a video, or a folder of pose files")
    if path.is_dir() or path.suffix.lower() == ".npz":
        return read_motion(path, fps)
    from echomimic.motion.track.video import extract

    return extract(path, report, hands=hands)
