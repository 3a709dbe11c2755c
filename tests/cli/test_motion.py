"""The motion commands: from speech to a file, over edits and fits, to something to look at."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import echomimic.motion
from echomimic.media.video import VideoReader
from echomimic.motion.files.motion_file import read_motion
from tests.cli.door import run


def test_from_speech_to_a_picture_of_it(
    short_speech: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken, fitted, edited = (tmp_path / f"{name}.npz" for name in ("spoken", "fitted", "edited"))
    assert run("motion", "speak", short_speech, "-o", spoken, "--seed", 3) == 0
    assert run("motion", "sync", spoken, "--portrait", portrait, "-o", fitted) == 0
    assert (
        run("motion", "edit", fitted, "-o", edited, "--fps", 12, "--length", 10, "--mouth", 0.5, "--mirror")
        == 0
    )
    face = read_motion(edited).face
    assert face is not None
    assert (len(face), face.fps, face.size) == (10, 12.0, (576, 576))
    assert run("motion", "info", edited) == 0
    assert "10 frames at 12 fps" in capsys.readouterr().out
    sheet, video = tmp_path / "sheet.png", tmp_path / "shown.mp4"
    assert run("motion", "show", edited, "--portrait", portrait, "-o", video, "--png", sheet, "-q") == 0
    assert np.asarray(Image.open(sheet)).std() > 5
    assert sum(1 for _ in VideoReader(video)) == 10


def test_a_driver_moves_the_preview(short_speech: Path, portrait: Path, tmp_path: Path) -> None:
    driver = tmp_path / "spoken.npz"
    assert run("motion", "speak", short_speech, "-o", driver) == 0
    for lips in ("driver", "speech"):
        out = tmp_path / f"{lips}.mp4"
        command = ("animate", portrait, short_speech, "-o", out, "--driver", driver, "--lips", lips)
        assert run(*command, "--size", 128, "-q") == 0
        assert sum(1 for _ in VideoReader(out)) == 15


def test_hands_that_a_portrait_does_not_show_are_named(
    short_speech: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "spoken.npz"
    assert run("motion", "speak", short_speech, "--portrait", portrait, "--hands", "-o", out) == 0
    assert "neither hand is seen" in capsys.readouterr().err
    assert run("motion", "speak", short_speech, "--hands", "-o", tmp_path / "none.npz") == 2
    assert "--portrait" in capsys.readouterr().err


def test_the_bundled_pose_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundled = Path(echomimic.motion.__path__[0]) / "data" / "default_pose.npz"
    assert run("motion", "info", bundled) == 0
    assert "left hand   in 100%" in capsys.readouterr().out
    assert run("motion", "show", bundled, "--png", tmp_path / "pose.png", "-q") == 0
    assert np.asarray(Image.open(tmp_path / "pose.png")).std() > 5


def test_bad_input_is_one_line(
    short_speech: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.npz"
    there = tmp_path / "there.npz"
    there.write_text("mine")
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, says in (
        (("info", tmp_path / "none.npz"), "no such"),
        (("info", there), "there.npz"),
        (("info", empty), "empty"),
        (("info", short_speech), "no pictures"),
        (("speak", short_speech, "-o", there), "--overwrite"),
        (("speak", tmp_path / "none.wav", "-o", out), "no such file"),
        (("speak", short_speech, "-o", tmp_path / "out.txt"), "ought to end in .npz"),
        (("show", there), "--png"),
        (("show", there, "-o", tmp_path / "v.avi"), ".avi is not written"),
        (("show", there, "--png", tmp_path / "v.gif"), "ought to end in .png"),
        (("sync", there, "--portrait", portrait, "-o", out), "there.npz"),
    ):
        assert run("motion", *arguments) == 2, arguments
        error = capsys.readouterr().err
        assert says in error
        assert "Traceback" not in error
    assert there.read_text() == "mine"
    assert not out.exists()
