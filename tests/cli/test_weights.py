"""The weights commands, on a tiny model in the official layout."""

import json
from pathlib import Path

import pytest

from tests.cli.door import run


def test_list_names_every_file_and_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("weights", "list", "--weights", tmp_path, "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["model"] for row in rows} == {"v1", "v1-acc", "v1-pose", "v1-pose-acc", "v2", "v2-acc"}
    assert all(row["bytes"] > 1_000_000 and row["path"] is None for row in rows)


def test_what_is_missing_is_said_with_the_command_that_gets_it(
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ECHOMIMIC_HOME", raising=False)
    out = tmp_path / "t.mp4"
    assert run("animate", portrait, short_speech, "-o", out, "--model", "v2-acc", "-q") == 2
    assert "echomimic weights get v2-acc" in capsys.readouterr().err
    assert not out.exists()
    assert run("weights", "check", tmp_path) == 2
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("weights", "get", "v2-acc", "-q") == 2
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err
