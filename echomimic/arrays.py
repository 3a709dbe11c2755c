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


# Products up to which OpenBLAS keeps to one thread: SMP_THRESHOLD_MIN times GEMM_MULTITHREAD_THRESHOLD in its
# interface/gemm.c.
_ALONE = 2**18


def multiply_rows(rows: NDArray[F], matrix: NDArray[F]) -> NDArray[F]:
    """(N, C) times (C, D), a few rows at a time.

    So each product is too small to be shared out, and the same bits come out however many threads NumPy's
    library has; nor does a second thread spin longer than it computes.
    """
    many = max(1, _ALONE // matrix.size)
    if len(rows) <= many:
        return rows @ matrix
    padded = np.pad(rows, ((0, -len(rows) % many), (0, 0)))
    return (padded.reshape(-1, many, rows.shape[1]) @ matrix).reshape(-1, matrix.shape[1])[: len(rows)]


def smoothstep(x: NDArray[F], low: float = 0.0, high: float = 1.0) -> NDArray[F]:
    """0 below `low`, 1 above `high`, and between them a cubic that starts and ends level: 3t² − 2t³."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=x.dtype)
