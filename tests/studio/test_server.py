"""The studio as it really runs: processes that are killed, stopped and started again lose nothing."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from echomimic.flow import run
from echomimic.media.video_reader import VideoReader
from echomimic.request import Request, Settings
from echomimic.studio.database import Database
from tests.studio.door import EXAMPLE, sound
from tests.studio.server import Server, events

SMALL = {
    "width": 128,
    "height": 128,
    "length": 3,
    "dtype": "fp32",
    "cfg": 1.0,
    "context_frames": 3,
    "context_overlap": 1,
}


def has_denoised(job: dict[str, Any], more_than: int) -> bool:
    return bool(job["done"] > more_than and job["stage"] == "denoising")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """V1 with nets small enough for a test."""
    pytest.importorskip("torch", reason="V1 needs the extra diffusion")
    from tests import tiny

    return tiny.write(tmp_path_factory.mktemp("weights"), "v1", acc=False, pose=False)


@pytest.mark.slow
def test_a_killed_server_loses_nothing_and_goes_on_to_the_same_bits(tmp_path: Path, weights: Path) -> None:
    home, found = tmp_path / "home", {"ECHOMIMIC_HOME": str(weights)}
    (tmp_path / "speech.wav").write_bytes(sound(0.6))
    server = Server(home, **found)
    body = {"portrait": server.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())}
    body["speech"] = server.upload("speech", (tmp_path / "speech.wav").read_bytes())
    settings: dict[str, Any] = {"model": "v1", **SMALL, "steps": 12}
    orders = [{**body, "settings": {**settings, "seed": seed}} for seed in range(6)]
    first, *rest = (server.ask("POST", "/api/jobs", order)["id"] for order in orders)
    for killed in range(2):
        done = server.until(first, partial(has_denoised, more_than=2 + 4 * killed))
        assert done["state"] == "running"
        server.kill()
        server = Server(home, **found)
    with server:
        waiting = [job["id"] for job in server.ask("GET", "/api/jobs")["jobs"] if job["state"] != "running"]
        assert [id for id in waiting if id != first] == rest, "nothing is lost, and the order is kept"
        done = server.until(first, lambda job: job["state"] not in ("queued", "running"))
        assert (done["state"], done["error"], done["attempts"]) == ("done", None, 3)
        assert any("going on after step" in note for note in done["notes"])
        server.until(rest[0], lambda job: job["state"] == "running")
        server.ask("POST", f"/api/jobs/{rest[0]}/stop")
        stopped = server.until(rest[0], lambda job: job["state"] != "running")
        assert (stopped["state"], stopped["error"]) == ("stopped", None)
    request = Request(EXAMPLE / "portrait.jpg", tmp_path / "speech.wav", tmp_path / "whole.mp4")
    run(request, Settings(**settings, seed=0, weights=weights))
    made = home / "takes" / done["take"] / "video.mp4"
    one, other = ([frame.tobytes() for frame in VideoReader(path)] for path in (made, tmp_path / "whole.mp4"))
    assert len(one) == 3
    assert one == other


@pytest.mark.slow
def test_pages_are_told_what_changes_and_a_crash_ends_only_its_job(tmp_path: Path) -> None:
    with Server(tmp_path / "home") as server:
        stream = events(server)
        assert next(stream)[0] == "hello"
        body = {"portrait": server.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())}
        body["speech"] = server.upload("speech", sound(6.0))
        long = server.ask("POST", "/api/jobs", {**body, "settings": {"length": 2000}})
        short = server.ask("POST", "/api/jobs", {**body, "settings": {"size": 64, "length": 10}})
        seen: dict[str, list[str]] = {}
        crashed = False
        for name, data in stream:
            if name == "job":
                seen.setdefault(data["id"], []).append(data["state"])
                if (
                    data["id"] == long["id"]
                    and data["done"] > 20
                    and data["stage"] == "rendering"
                    and not crashed
                ):
                    crashed = True
                    kill_worker(tmp_path / "home", long["id"])
                if data["id"] == short["id"] and data["state"] == "done":
                    break
        states = {id: list(dict.fromkeys(states)) for id, states in seen.items()}
        assert states[long["id"]][-2:] == ["running", "failed"]
        assert states[short["id"]] == ["queued", "running", "done"]
        assert "killed" in server.job(long["id"])["error"]
        assert server.job(short["id"])["state"] == "done"
        missed = [name for name, _ in zip(range(3), events(server, last=0), strict=False)]
        assert missed == [0, 1, 2]


def kill_worker(home: Path, job: str) -> None:
    """Ends the process that works on a job, as the system does when memory runs out."""
    row = Database(home / "studio.db").row("SELECT worker FROM jobs WHERE id = ?", [job])
    assert row is not None
    os.kill(int(row["worker"].split("-")[1]), signal.SIGKILL)


def test_one_server_per_folder(tmp_path: Path) -> None:
    with Server(tmp_path / "home"):
        command = [
            sys.executable,
            "-m",
            "echomimic",
            "studio",
            "--home",
            str(tmp_path / "home"),
            "--port",
            "0",
            "--no-page",
        ]
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert other.returncode == 2
        assert other.stderr.startswith("error: another studio uses")


@pytest.mark.slow
def test_a_server_that_is_ended_does_not_wait_for_what_is_open(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server(tmp_path / "home")
    body = {"portrait": server.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())}
    body["speech"] = server.upload("speech", sound(3.0))
    first, second = (
        server.ask("POST", "/api/jobs", {**body, "settings": {"length": 3000, "seed": n}}) for n in (1, 2)
    )
    still = {**body, "time": 1.0, "settings": {"size": 1024}}
    asked: list[Callable[[], object]] = [
        lambda: list(events(server)),
        lambda: server.ask("GET", f"/api/takes/{first['take']}/stream"),
        lambda: server.ask("GET", f"/api/takes/{second['take']}/stream"),
        *[lambda: server.ask("POST", "/api/still", still)] * 5,
    ]
    server.until(first["id"], lambda job: job["stage"] == "rendering")
    for one in asked:
        threading.Thread(target=_heedless, args=(one,), daemon=True).start()
    time.sleep(0.5)
    server.process.terminate()
    assert server.process.wait(20) == 128 + signal.SIGTERM
    server.kill()
    assert "Traceback" not in capfd.readouterr().err


def _heedless(ask: Callable[[], object]) -> None:
    with contextlib.suppress(AssertionError, OSError, http.client.HTTPException):
        ask()
