"""Files that cannot be read are refused in one line that says why."""

import os
from pathlib import Path

import pytest

from echomimic import animate
from echomimic.errors import EchoMimicError, PictureError
from echomimic.media.files import check_readable
from tests.cli.door import run


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "full.png").write_text("x")
    cases = {
        tmp_path / "none.png": "none.png: no such file; give the path of a picture",
        tmp_path / "full.png" / "in.png": "no such file",
        tmp_path / ("n" * 300): "cannot be reached .File name too long.",
        tmp_path: "is a folder",
        tmp_path / "empty.png": r"empty.png is empty \(0 bytes\)",
    }
    for path, says in cases.items():
        with pytest.raises(PictureError, match=says):
            check_readable(path, PictureError, "a picture")
    check_readable(tmp_path / "full.png", PictureError, "a picture")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PictureError, match="may not be read by this user"):
        check_readable(tmp_path / "full.png", PictureError, "a picture")


@pytest.mark.parametrize("command", ["portrait", "driver", "motion", "pose"])
def test_a_pipe_never_keeps_a_command_waiting(
    tmp_path: Path, portrait: Path, short_speech: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (here := tmp_path / "here").mkdir()
    pipe = here / f"pipe{'.png' if command == 'portrait' else '.mp4' if command == 'driver' else '.npz'}"
    os.mkfifo(pipe)
    out = ("-o", here / "o.mp4", "-q")
    code = {
        "portrait": lambda: run("animate", pipe, short_speech, *out),
        "driver": lambda: run("animate", portrait, short_speech, "--driver", pipe, *out),
        "pose": lambda: run("animate", portrait, short_speech, "--driver", pipe, *out),
        "motion": lambda: run("motion", "info", pipe),
    }[command]()
    assert code == 2
    assert "is a pipe or a device" in capsys.readouterr().err
    assert [p.name for p in here.iterdir()] == [pipe.name]


@pytest.mark.parametrize("name", ["a\0b.png", "n" * 260 + ".png"])
@pytest.mark.parametrize("role", ["portrait", "speech", "output", "driver"])
def test_names_that_no_file_can_have_from_python(
    tmp_path: Path, portrait: Path, short_speech: Path, role: str, name: str
) -> None:
    (here := tmp_path / "here").mkdir()
    given = {"portrait": portrait, "speech": short_speech, "output": here / "o.mp4"}
    bad = str(here / name).replace(".png", ".mp4" if role == "output" else ".png")
    with pytest.raises(EchoMimicError) as fault:
        animate(**given | {role: bad}, size=64, length=2)  # type: ignore[arg-type]
    assert "\n" not in str(fault.value)
    assert list(here.iterdir()) == []
