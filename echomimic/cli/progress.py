"""Progress in the terminal: what it does, how far it is, how fast, how long it will take."""

import json
import sys
import time
from types import TracebackType
from typing import Any

import click

from echomimic.progress import IN_BYTES, TITLES, Progress

LOG_EVERY = 30.0
"""Seconds between two lines of progress where standard error is not a terminal."""


class TerminalBar:
    """A context manager and a report that draws a bar on standard error; notes are kept above it.

    Where standard error is a file or a pipe, a plain line now and then takes the bar's place.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._stage = ""
        self._bar: Any = None
        self._task: Any = None
        self._logged = time.monotonic()

    def __enter__(self) -> "TerminalBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def note(self, text: str) -> None:
        """Shows one remark, and lets it stand."""
        if not self._quiet:
            self._say(f"note: {text}")

    def __call__(self, progress: Progress) -> None:
        """Shows one :class:`Progress`."""
        if self._quiet:
            return
        name = TITLES.get(progress.stage, progress.stage)
        unit = 2**20 if progress.stage in IN_BYTES else 1
        done, total = progress.done // unit, progress.total // unit or None
        if sys.stderr is None or not sys.stderr.isatty():  # None where the process has no such stream
            self._log(name, done, total)
            return
        bar = self._bar or self._open()
        if progress.stage != self._stage:
            self._stage = progress.stage
            if self._task is not None:
                bar.remove_task(self._task)
            self._task = bar.add_task(name, total=total, detail="")
        bar.update(self._task, completed=done, total=total, detail=progress.detail)

    def _log(self, name: str, done: int, total: int | None) -> None:
        """One plain line now and then, for the log of a long job."""
        now = time.monotonic()
        if now - self._logged >= LOG_EVERY:
            self._logged = now
            click.echo(f"{name}: {done}" + (f" of {total}" if total else ""), err=True)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def _open(self) -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _rate_column(),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            TextColumn("{task.fields[detail]}"),
        )
        self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar


def _rate_column() -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    return Rate()


def print_result(result: dict[str, Any], as_json: bool, quiet: bool, text: str) -> None:
    """The one line that a command ends with, on standard output."""
    if as_json:
        click.echo(json.dumps(result))
    elif not quiet:
        click.echo(text)
