"""Pieces of a track that grows: what the stepped listeners and generators keep of the past."""

from __future__ import annotations

from typing import Generic

import numpy as np
from numpy.typing import NDArray

from echomimic.arrays import F


class Tail(Generic[F]):
    """The last rows of a track that grows at its end, addressed by absolute row numbers.

    rows: what stands before the track's first own row; its last row has the number `start` - 1.
    """

    def __init__(self, rows: NDArray[F], start: int = 0) -> None:
        self.rows: NDArray[F] = rows
        self.start = start - len(rows)

    @property
    def stop(self) -> int:
        """The number after the last row."""
        return self.start + len(self.rows)

    def append(self, rows: NDArray[F]) -> None:
        """Rows that come after all that are there."""
        self.rows = np.concatenate([self.rows, rows])

    def span(self, start: int, stop: int) -> NDArray[F]:
        """Rows `start` to `stop`; all of them must still be there."""
        assert self.start <= start <= stop <= self.stop, (self.start, start, stop, self.stop)
        rows: NDArray[F] = self.rows[start - self.start : stop - self.start]
        return rows

    def forget(self, before: int) -> None:
        """Drop the rows whose number is below `before`."""
        gone = max(0, before - self.start)
        self.rows, self.start = self.rows[gone:], self.start + gone
