"""The preview touches no network and leaves nothing in a home: its demo runs where sockets are forbidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NO_SOCKETS = """
import socket, sys
def forbidden(event, arguments):
    if event in {"socket." + name for name in ("connect", "bind", "getaddrinfo", "gethostbyname", "sendto")}:
        raise RuntimeError(f"the network was touched: {event} {arguments}")
sys.addaudithook(forbidden)
from echomimic.cli import main
main(["demo", "-o", sys.argv[1], "--length", "3", "--size", "64", "-q"])
"""


def test_the_demo_needs_no_network_and_no_home(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    named = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    environment = {**os.environ, **named, "ORT_DISABLE_TELEMETRY": ""}
    done = subprocess.run(
        [sys.executable, "-c", NO_SOCKETS, str(out / "d.mp4")],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [p.name for p in out.iterdir()] == ["d.mp4"]
    assert list(home.rglob("*")) == []


def test_onnxruntime_is_told_to_keep_quiet_before_it_is_imported() -> None:
    code = (
        "import builtins, os, sys\n"
        "real = builtins.__import__\n"
        "def watched(name, *rest):\n"
        "    if name.split('.')[0] == 'onnxruntime' and name not in sys.modules:\n"
        "        assert os.environ.get('ORT_DISABLE_TELEMETRY') == '1', 'too late'\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = watched\n"
        "import numpy as np\n"
        "from echomimic.faces.detect import find_faces\n"
        "find_faces(np.zeros((128, 128, 3), np.uint8))\n"
        "assert 'onnxruntime' in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["echomimic.__main__", "echomimic"])
def test_the_command_is_quiet_before_anything_else_is_imported(module: str) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 20


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_during_the_imports_is_one_line(number: str) -> None:
    code = (
        "import builtins, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # the suite may run where it is ignored
        "from echomimic.__main__ import main\n"
        "real = builtins.__import__\n"
        "def stopped(name, *rest):\n"
        f"    if name == 'click': os.kill(os.getpid(), signal.{number})\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = stopped\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "interrupted; nothing half-written was left behind\n"
    assert done.returncode == {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}[number]


def test_full_and_closed_outputs_are_said_or_silent(tmp_path: Path) -> None:
    command = f"{sys.executable} -m echomimic --help"
    full = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True, check=False)
    assert full.returncode == 2
    assert full.stderr.count("\n") == 1
    assert "standard output cannot be written" in full.stderr
    gone = tmp_path / "gone"
    gone.mkdir()
    inside = f"cd {gone} && rmdir {gone} && PYTHONPATH={Path(__file__).parents[1]} {command}"
    lost = subprocess.run(inside, shell=True, capture_output=True, text=True, check=False)
    assert lost.returncode == 2
    assert "the working folder is gone; change to another one" in lost.stderr
