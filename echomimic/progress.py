"""How far a job is, and what its user ought to know: the same callback for every engine and door."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

_LOG = logging.getLogger(__package__)

Stage: TypeAlias = Literal[
    "reading",
    "face",
    "weights",
    "audio",
    "preparing",
    "reference",
    "denoising",
    "rendering",
    "extract",
    "evaluating",
    "drawing",
    "download",
    "convert",
    "check",
    "checksums",
]

TITLES: Mapping[Stage, str] = {
    "reading": "Reading the picture and the speech",
    "face": "Finding the face",
    "weights": "Loading the model",
    "audio": "Listening to the speech",
    "preparing": "Preparing the portrait",
    "reference": "Looking at the portrait",
    "denoising": "Denoising",
    "rendering": "Rendering",
    "extract": "Following the motion",
    "evaluating": "Watching the video",
    "drawing": "Drawing",
    "download": "Downloading (MiB)",
    "convert": "Converting (MiB)",
    "check": "Checking",
    "checksums": "Reading every file",
}
"""What a door calls a stage."""

IN_BYTES: frozenset[Stage] = frozenset({"download"})
"""Stages that count bytes; doors show them in MiB."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One report: ``done`` of ``total`` units of ``stage``.

    ``total`` is 0 when the amount is not known. ``detail`` is one short line beside the bar (a window number,
    a file name). ``preview`` may carry the newest frame, (H, W, 3) uint8.
    """

    stage: Stage
    done: int = 0
    total: int = 0
    detail: str = ""
    preview: object | None = None


Report: TypeAlias = Callable[[Progress], None]
"""Called often and cheaply; raising from it (``KeyboardInterrupt`` for instance) stops the job cleanly.

A report that has a method ``note(text)`` is told remarks for the user by it, one line each; see :func:`say`.
"""


def silent(_: Progress) -> None:
    """The report that tells nobody."""


def say(report: Report, text: str) -> None:
    """Tells the user ``text``, one line, by the report's own ``note`` method;
    the log gets it where there is none."""
    note = getattr(report, "note", None)
    if callable(note):
        note(text)
    else:
        _LOG.info("%s", text)


class NoteTaker:
    """A report that keeps the notes and hands all on to another report."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.notes: list[str] = []

    def __call__(self, progress: Progress) -> None:
        """Hands it on."""
        self._report(progress)

    def note(self, text: str) -> None:
        """Keeps a note, and hands it on."""
        self.notes.append(text)
        say(self._report, text)
