"""What the batch's tests share: a short portrait video as a row, and a folder of inputs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.door import run

Make = Callable[..., Path]
ROW: dict[str, Any] = {"portrait": "p.jpg", "speech": "s.wav", "size": 128, "length": 3}


@pytest.fixture
def inputs(tmp_path: Path, portrait: Path, short_speech: Path) -> Path:
    """A folder with ``p.jpg`` and ``s.wav``."""
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(portrait, folder / "p.jpg")
    shutil.copy(short_speech, folder / "s.wav")
    return folder


@pytest.fixture
def manifest(inputs: Path) -> Make:
    """Writes rows as ``jobs.jsonl`` beside the inputs."""

    def make(*rows: dict[str, Any] | str) -> Path:
        path = inputs / "jobs.jsonl"
        path.write_text(
            "\n".join(row if isinstance(row, str) else json.dumps({**ROW, **row}) for row in rows) + "\n"
        )
        return path

    return make


def batch(*arguments: object) -> int:
    """The exit code of ``echomimic batch``."""
    return run("batch", *arguments, "-q")


def states(out: Path) -> dict[str, str]:
    """What became of each row, by id, from the report."""
    return {row["id"]: row["state"] for row in json.loads((out / "report.json").read_text())["rows"]}
