"""A performance as curves for people: one value per frame, in units that mean something."""

from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray
from echomimic.faces.geometry import MOUTH_CORNERS
from echomimic.motion.performance import Performance

# A ten-thousandth of an eye distance is below any pixel; more digits only make the answer longer.
DIGITS = 4
_UNITS = {
    "opening": "eye distances",
    "width": "eye distances",
    "pitch": "degrees",
    "yaw": "degrees",
    "roll": "degrees",
    "x": "eye distances",
    "y": "eye distances",
    "raise": "eye distances",
    "left": "0 open, 1 closed",
    "right": "0 open, 1 closed",
}
# The middle of the upper and of the lower lip, inside.
_LIPS = (13, 14)


def curves_of(performance: Performance, first: int, last: int) -> dict[str, Any]:
    """Frames ``first`` to ``last`` - 1 as the API shows them."""
    part = performance[first:last]
    upper, lower = (part.basis[:, point, 1] for point in _LIPS)
    left, right = (part.basis[:, point, 0] for point in MOUTH_CORNERS)
    pitch, yaw, roll = np.degrees(part.rotation).T
    tracks = {
        "mouth": {"opening": part.expression @ (upper - lower), "width": part.expression @ (right - left)},
        "head": {"pitch": pitch, "yaw": yaw, "roll": roll, **_xy(part.translation)},
        "brows": {"raise": part.brow},
        "blinks": {"left": part.blink[:, 0], "right": part.blink[:, 1]},
        "gaze": _xy(part.gaze),
        "body": _xy(part.body),
    }
    rounded = {name: {key: _plain(values) for key, values in track.items()} for name, track in tracks.items()}
    facts = {"fps": part.fps, "frames": len(performance), "start": first / part.fps}
    return facts | {"tracks": rounded, "units": _UNITS}


def _xy(track: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    return {"x": track[:, 0], "y": track[:, 1]}


def _plain(values: AnyArray) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
