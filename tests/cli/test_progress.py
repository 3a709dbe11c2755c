"""Progress where standard error is not a terminal: nothing for a short job, plain lines for a long one."""

import sys
from pathlib import Path
from typing import get_args

import pytest

from echomimic.cli import progress
from echomimic.progress import TITLES, Progress, Stage, say, silent
from tests.cli.door import run


def test_a_short_job_leaves_no_trace_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.TerminalBar() as report:
        for done in range(3):
            report(Progress("rendering", done, 3))
    assert capsys.readouterr() == ("", "")


def test_a_long_job_leaves_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with progress.TerminalBar() as report:
        report(Progress("rendering", 2, 3))
        report.note("the driver is short")
    assert capsys.readouterr() == ("", "Rendering: 2 of 3\nnote: the driver is short\n")


def test_a_process_without_standard_error_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with progress.TerminalBar() as report:
        report(Progress("rendering", 2, 3))


def test_verbose_says_what_is_decided_and_only_then(
    portrait: Path, short_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "animate",
        portrait,
        short_speech,
        "-o",
        tmp_path / "t.mp4",
        "--length",
        1,
        "--size",
        64,
        "--overwrite",
    )
    assert run("-v", *command) == 0
    err = capsys.readouterr().err
    assert "echomimic: face 0 of 1" in err
    assert "1 frames at 25 fps" in err
    assert "loading the engine" not in err
    assert run(*command, "-vv") == 0
    assert "loading the engine of preview" in capsys.readouterr().err
    assert run(*command) == 0
    assert capsys.readouterr().err == ""


def test_notes_of_a_report_without_a_place_for_them_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="echomimic"):
        say(silent, "the driver is short")
    assert caplog.messages == ["the driver is short"]


def test_every_stage_has_a_title() -> None:
    assert set(get_args(Stage)) == set(TITLES)
