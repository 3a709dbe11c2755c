"""Pieces of a track that grows: what the stepped listeners and generators keep of the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]


class Tail:
    """The last rows of a track that grows at its end, addressed by absolute row numbers.

    rows: what stands before the track's first own row; its last row has the number `start` - 1.
    """

    def __init__(self, rows: Rows, start: int = 0) -> None:
        self.rows, self.start = rows, start - len(rows)

    @property
    def stop(self) -> int:
        """The number after the last row."""
        return self.start + len(self.rows)

    def append(self, rows: Rows) -> None:
        """Rows that come after all that are there."""
        self.rows = np.concatenate([self.rows, rows])

    def span(self, start: int, stop: int) -> Rows:
        """Rows `start` to `stop`; all of them must still be there."""
        assert self.start <= start <= stop <= self.stop, (self.start, start, stop, self.stop)
        return self.rows[start - self.start : stop - self.start]

    def forget(self, before: int) -> None:
        """Drop the rows whose number is below `before`."""
        gone = max(0, before - self.start)
        self.rows, self.start = self.rows[gone:], self.start + gone
