"""How far a job is: one value and one callback, the same for every engine and door."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """One report: ``done`` of ``total`` units of ``stage``.

    ``total`` is 0 when the amount is not known. ``note`` is one short line for people (a warning, a
    window number). ``preview`` may carry the newest frame, (H, W, 3) uint8.
    """

    stage: str
    done: int = 0
    total: int = 0
    note: str = ""
    preview: object | None = None


Report: TypeAlias = Callable[[Progress], None]
"""Called often and cheaply; raising from it (``KeyboardInterrupt`` for instance) stops the job cleanly."""


def silent(_: Progress) -> None:
    """The report that tells nobody."""
