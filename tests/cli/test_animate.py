"""The terminal door: what it prints, what it writes, how it fails."""

import json
import subprocess
import sys
from collections.abc import Generator, Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from echomimic.arrays import Picture
from tests.cli.door import run
from tests.conftest import FakeEngine


def test_json_result_names_everything(
    fake_engine: FakeEngine,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "talk.mp4"
    assert run("animate", portrait, short_speech, "-o", out, "--json", "--seed", 7, "--fps", 20) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert printed.err == ""
    assert (result["output"], result["frames"], result["seconds"], result["fps"]) == (str(out), 12, 0.6, 20.0)
    assert (result["seed"], result["model"], result["width"], result["height"]) == (7, "preview", 512, 512)
    with av.open(str(out)) as container:
        assert "AI-generated" in container.metadata["comment"]
        assert "seed 7" in container.metadata["comment"]


def test_quiet_prints_nothing(
    fake_engine: FakeEngine,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("animate", portrait, short_speech, "-o", tmp_path / "talk.webm", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_odd_size_is_rounded_and_said(
    fake_engine: FakeEngine,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        run("animate", portrait, short_speech, "-o", tmp_path / "t.mp4", "--width", 301, "--height", 203) == 0
    )
    assert "rounded to even pixels: 300x202" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--size", "256"], (256, 256)),
        (["--width", "320"], (320, 320)),
        (["--width", "320", "--height", "200"], (320, 200)),
        (["--crop", "head"], (512, 512)),
        (["--crop", "head", "--paste-back"], (576, 576)),
        (["--length", "5"], (512, 512)),
    ],
)
def test_sizes(
    fake_engine: FakeEngine,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    options: list[str],
    size: tuple[int, int],
) -> None:
    out = tmp_path / "t.mp4"
    assert run("animate", portrait, short_speech, "-o", out, "-q", *options) == 0
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
        assert stream.frames == (5 if "--length" in options else 15)


def test_bad_input_is_one_line_and_leaves_nothing(
    fake_engine: FakeEngine,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    Image.effect_noise((200, 200), 60).save(work / "noise.png")
    (work / "text.jpg").write_text("text")
    (work / "text.mp3").write_text("text" * 100)
    (work / "there.mp4").write_text("mine")
    kept = sorted(work.iterdir())
    out = work / "out.mp4"
    for arguments, says in (
        ((work / "none.png", short_speech, "-o", out), "no such file"),
        ((work / "text.jpg", short_speech, "-o", out), "not a picture"),
        ((work / "noise.png", short_speech, "-o", out), "no face"),
        ((portrait, work / "none.wav", "-o", out), "no such file"),
        ((portrait, work / "text.mp3", "-o", out), "not a sound file"),
        ((portrait, short_speech, "-o", work / "there.mp4"), "--overwrite"),
        ((portrait, short_speech, "-o", work / "no" / "out.mp4"), "does not exist"),
        ((portrait, short_speech, "-o", out, "--face", 3), "choose 0 to 0"),
        ((portrait, short_speech, "-o", out, "--size", 9000), "out of range"),
        ((portrait, short_speech, "-o", out, "--context-frames", 40), "32"),
        ((portrait, short_speech, "-o", out, "--size", 64, "--width", 64), "error: give either --size"),
        ((portrait, short_speech, "-o", out, "--seed", "x"), "seed"),
        ((portrait, short_speech, "-o", out, "--model", "v9"), "v9"),
        ((portrait, short_speech), "output"),
    ):
        assert run("animate", *arguments) == 2, arguments
        error = capsys.readouterr().err
        assert says in error
        assert "Traceback" not in error
        assert error.strip().count("\n") == 0, error
        assert error.startswith("error: "), error
    assert sorted(work.iterdir()) == kept
    assert (work / "there.mp4").read_text() == "mine"


def test_silence_is_refused_unless_allowed(
    fake_engine: FakeEngine, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import wave

    with wave.open(str(tmp_path / "quiet.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.zeros(8000, np.int16).tobytes())
    command = ("animate", portrait, tmp_path / "quiet.wav", "-o", tmp_path / "t.mp4", "-q")
    assert run(*command) == 2
    assert "--allow-silence" in capsys.readouterr().err
    assert run(*command, "--allow-silence") == 0


def test_interruption_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupted(FakeEngine):
        def frames(
            self, conditions: object, report: object = lambda _: None, frames: Iterable[int] | None = None
        ) -> Generator[Picture, None, None]:
            yield np.zeros((512, 512, 3), np.uint8)
            raise KeyboardInterrupt

    monkeypatch.setattr("echomimic.engine.load", lambda *_: Interrupted())
    out = tmp_path / "out"
    out.mkdir()
    assert run("animate", portrait, short_speech, "-o", out / "t.mp4", "-q") == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_help_lists_every_option_under_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    from echomimic.option import options
    from echomimic.request import Request, Settings

    assert run("animate", "--help") == 0
    text = capsys.readouterr().out
    for option in (*options(Settings), *options(Request)):
        assert option.name.replace("_", "-") in text.lower(), option.name
    assert "Diffusion:" in text


_ASKED = """
import os, sys, types
def run(*_):
    print(os.environ.get("OPENBLAS_NUM_THREADS"), "numpy" in sys.modules)
    sys.exit()
flow = sys.modules["echomimic.flow"] = types.ModuleType("echomimic.flow")
flow.run = run
from echomimic.cli import main
main(["animate", "a.png", "b.wav", "-o", "c.mp4", "-q", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("model", "given", "seen"), [("preview", None, "1"), ("preview", "4", "4"), ("v1", None, "None")]
)
def test_the_previews_products_take_one_thread_unless_told_otherwise(
    model: str, given: str | None, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    words = [sys.executable, "-c", _ASKED, "--model", model]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [seen, "False"], "NumPy reads it when it is loaded"


@pytest.mark.slow
def test_module_and_doctor_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "echomimic", "doctor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "preview                  ready" in done.stdout


def test_doctor_renders_a_frame_before_it_says_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("doctor")
    assert "preview                  ready" in capsys.readouterr().out

    def broken(*_: object) -> None:
        raise RuntimeError("no mesh")

    monkeypatch.setattr("echomimic.preview.renderer.PreviewRenderer.render", broken)
    assert run("doctor") == 1
    assert "preview                  broken: RuntimeError: no mesh" in capsys.readouterr().out
