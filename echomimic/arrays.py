"""Array types by name, and the ramp that everybody fades with."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]
AnyArray: TypeAlias = NDArray[np.generic]
"""Numbers, flags or texts, as a file holds them."""
Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB, or (H, W) of a mask."""


F = TypeVar("F", np.float32, np.float64)
Value = TypeVar("Value", bound=np.generic)


def smoothstep(x: NDArray[F], low: float = 0.0, high: float = 1.0) -> NDArray[F]:
    """0 below `low`, 1 above `high`, and between them a cubic that starts and ends level: 3t² − 2t³."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=x.dtype)
