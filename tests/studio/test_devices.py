"""One worker per device: each sees only its own, and previews need none."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from echomimic.studio import devices as there
from echomimic.studio.supervisor import Supervisor
from tests.studio.door import Door


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A driver that tells of so many cards."""

    def tell(count: int, code: int = 0) -> None:
        tool = tmp_path / "nvidia-smi"
        lines = "".join(f"echo {n}\n" for n in range(count))
        tool.write_text(f"#!/bin/sh\n{lines}exit {code}\n")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        there._gpus.cache_clear()

    yield tell
    there._gpus.cache_clear()


def test_every_card_has_a_worker_that_sees_only_it(gpus: Any) -> None:
    gpus(2)
    assert there.devices("diffusion") == {
        "cuda:0": {"CUDA_VISIBLE_DEVICES": "0"},
        "cuda:1": {"CUDA_VISIBLE_DEVICES": "1"},
    }
    assert there.devices("preview") == {"preview": {}}
    assert there.devices("fetch") == {"fetch": {}}


@pytest.mark.parametrize(("count", "code"), [(1, 0), (0, 0), (2, 1)])
def test_one_card_none_or_a_driver_that_fails_need_no_choice(gpus: Any, count: int, code: int) -> None:
    gpus(count, code)
    assert there.devices("diffusion") == {"diffusion": {}}


def test_the_queue_starts_a_worker_for_each(
    door: Door,
    gpus: Any,
    portrait_id: str,
    speech_id: str,
    weights_there: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[tuple[str, str]] = []

    class Process:
        pid = 0

        def poll(self) -> None:
            return None

    def start(module: str, home: str, lane: str, environment: dict[str, str]) -> Process:
        started.append((lane, environment.get("CUDA_VISIBLE_DEVICES", "")))
        return Process()

    gpus(2)
    monkeypatch.setattr("echomimic.studio.supervisor.start", start)
    job = door.order(portrait=portrait_id, speech=speech_id, settings={"model": "v1"})
    supervisor = Supervisor(door.studio.home, door.studio.database)
    for _ in range(2):
        supervisor.look()
    door.client.delete(f"/api/jobs/{job['id']}")
    assert started == [("diffusion", "0"), ("diffusion", "1"), ("preview", "")]


def test_a_worker_that_cannot_work_is_started_again_less_and_less(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, starts = [1000.0], [0]

    def start(*_: object, **__: object) -> Any:
        starts[0] += 1
        process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"], stdin=subprocess.PIPE)
        process.communicate()
        return process

    monkeypatch.setattr("echomimic.studio.supervisor.start", start)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    supervisor = Supervisor(door.studio.home, door.studio.database)
    for _ in range(600):
        supervisor.look()
        clock[0] += 0.2
    assert 5 <= starts[0] <= 10
