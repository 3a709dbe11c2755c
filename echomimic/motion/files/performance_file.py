"""A performance as a file: one ``.npz`` of its arrays."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import numpy as np

from echomimic.errors import DriverError
from echomimic.motion.npz import read_npz, write_npz
from echomimic.motion.performance import Performance

PREFIX = "performance."


def write_performance(path: str | os.PathLike[str], performance: Performance) -> None:
    """Raises OutputError."""
    write_npz(path, {PREFIX + f.name: np.asarray(getattr(performance, f.name)) for f in fields(performance)})


def read_performance(path: str | os.PathLike[str]) -> Performance:
    """Raises DriverError naming the file."""
    arrays = read_npz(path)
    try:
        values: dict[str, Any] = {f.name: arrays[PREFIX + f.name] for f in fields(Performance)}
        return Performance(**{**values, "fps": float(values["fps"])})
    except (KeyError, ValueError, TypeError) as error:
        raise DriverError(f"{path} holds no performance ({error}); make it anew") from None
