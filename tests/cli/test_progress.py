"""Progress where standard error is not a terminal: nothing for a short job, plain lines for a long one."""

import sys

import pytest

from echomimic.cli import progress
from echomimic.progress import Progress


def test_a_short_job_leaves_no_trace_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Bar() as report:
        for done in range(3):
            report(Progress("rendering", done, 3))
    assert capsys.readouterr() == ("", "")


def test_a_long_job_leaves_plain_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with progress.Bar() as report:
        report(Progress("rendering", 2, 3))
        report(Progress("note", note="the driver is short"))
    assert capsys.readouterr() == ("", "Rendering: 2 of 3\nnote: the driver is short\n")


def test_a_process_without_standard_error_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with progress.Bar() as report:
        report(Progress("rendering", 2, 3))
