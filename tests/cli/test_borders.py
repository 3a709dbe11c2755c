"""Every number of every command, at the ends of its range and beyond them."""

import math
from pathlib import Path

import pytest

from benchmarks.bad_input import REMEDY
from echomimic.errors import SettingsError
from echomimic.option import Option, options
from echomimic.request import Request, Settings
from tests.cli.door import run

NUMBERS = [o for kind in (Settings, Request) for o in options(kind) if o.type in (int, float)]
BEYOND = [math.nan, math.inf, -math.inf, 1e308, -1e308, "x", True, None]


def made(option: Option, value: object) -> object:
    paths = {name: Path("p.jpg") for name in ("portrait", "speech", "output")}
    if option in options(Request):
        return Request(**paths, **{option.name: value})  # type: ignore[arg-type]
    beside = {"context_frames": 32} if option.name == "context_overlap" else {}
    return Settings(**beside, **{option.name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", NUMBERS, ids=lambda o: o.name)
def test_a_number_is_taken_up_to_its_ends_and_not_beyond(option: Option) -> None:
    assert option.low is not None
    assert option.high is not None
    step = 1 if option.type is int else 1e-6 * max(1.0, abs(option.high))
    high = 32 if option.name == "context_frames" else option.high  # the length of the position table
    for end in (option.low, high):
        assert made(option, option.type(end)) is not None
    outside: list[object] = [option.low - step, option.high + step, *BEYOND]
    for value in outside:
        if value is None and option.default is None:
            continue
        with pytest.raises(SettingsError) as caught:
            made(option, value)
        assert REMEDY.search(str(caught.value)), caught.value
        assert option.name in str(caught.value)


MOTION = {
    ("extract", "--face"): ("-1", "100", "nan", "x"),
    ("speak", "--gestures"): ("-1", "nan", "inf", "1e9"),
    ("speak", "--blink-rate"): ("-0.1", "4.1", "nan"),
    ("speak", "--gaze"): ("-0.1", "2.1", "inf"),
    ("speak", "--fps"): ("0", "4.9", "101", "nan"),
    ("edit", "--fps"): ("0", "-1", "nan", "inf", "1e308", "1001"),
    ("edit", "--start"): ("-1", "nan", "inf", "1e308", "99"),
    ("edit", "--stop"): ("-1", "nan", "inf", "1e308", "0"),
    ("edit", "--smooth"): ("-1", "nan", "inf", "11"),
    ("edit", "--length"): ("0", "-1", "10000000", "nan"),
    **{("edit", f"--{part}"): ("-0.1", "3.1", "nan", "inf") for part in ("mouth", "brows", "eyes", "head")},
}


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import EXAMPLE

    path = tmp_path_factory.mktemp("motion") / "m.npz"
    assert run("motion", "speak", EXAMPLE / "speech.flac", "-o", path, "-q") == 0
    return path


@pytest.mark.parametrize(("command", "flag"), MOTION, ids=" ".join)
def test_numbers_of_the_motion_commands(
    motion: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    flag: str,
) -> None:
    source = short_speech if command == "speak" else motion
    for value in MOTION[command, flag]:
        assert run("motion", command, source, "-o", tmp_path / "out.npz", flag, value, "-q") == 2, value
        error = capsys.readouterr().err.strip()
        assert error.count("\n") == 0
        assert REMEDY.search(error), error
    assert not (tmp_path / "out.npz").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("least", [1e-320, 1e-300, 1e-5])
def test_next_to_no_smoothing_is_none(motion: Path, tmp_path: Path, least: float) -> None:
    assert run("motion", "edit", motion, "-o", tmp_path / "a.npz", "-q", "--smooth", least) == 0
    assert run("motion", "edit", motion, "-o", tmp_path / "b.npz", "-q") == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_ends_themselves_work(motion: Path, short_speech: Path, tmp_path: Path) -> None:
    ends = ("--blink-rate", 4, "--gaze", 2, "--head-motion", 2, "--expressiveness", 2, "--fps", 100)
    assert run("motion", "speak", short_speech, "-o", tmp_path / "a.npz", "-q", *ends) == 0
    edits = ("--mouth", 3, "--head", 0, "--eyes", 0, "--smooth", 0.5, "--fps", 50, "--length", 3)
    assert run("motion", "edit", motion, "-o", tmp_path / "b.npz", "-q", *edits) == 0
