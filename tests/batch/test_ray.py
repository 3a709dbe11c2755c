"""The same rows on Ray: equal bytes, and a killed worker's row is rendered by another one."""

import os
import signal
import time
from pathlib import Path

import pytest

from echomimic.batch.manifest import read_manifest
from echomimic.batch.ray_pool import RayPool
from echomimic.batch.run import State, run_batch
from tests.batch.conftest import Make, batch

pytest.importorskip("ray", reason="batches on Ray need the extra `batch`")


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def test_rows_on_ray_are_the_same_and_survive_a_killed_worker(
    manifest: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    path = manifest(
        *({"id": f"r{i}", "seed": i, "length": 40} for i in range(4)), {"id": "bad", "portrait": "s.wav"}
    )
    assert batch(path, "-o", tmp_path / "one") == 1
    rows, refused = read_manifest(str(path))
    out = tmp_path / "two"
    out.mkdir()
    killed: list[int] = []

    def kill(state: State) -> None:
        if not killed and any(p.stage == "rendering" for p in state.stages.values()):
            killed.append(_worker())
            os.kill(killed[0], signal.SIGKILL)

    pool = RayPool("local", (str(out), str(tmp_path / "w"), str(tmp_path / "c"), False), (2, 2), -1)
    try:
        state = run_batch(rows, refused, pool, show=kill)
    finally:
        pool.close()
        time.sleep(0.1)
    assert killed, "no worker was caught in the middle of a row"
    assert {o.id: o.state for o in state.outcomes} == {**{f"r{i}": "done" for i in range(4)}, "bad": "failed"}
    assert max(o.attempts for o in state.outcomes) == 2
    assert next(o for o in state.outcomes if o.id == "bad").attempts == 1, "bad input was tried again"
    for i in range(4):
        assert (out / f"r{i}.mp4").read_bytes() == (tmp_path / "one" / f"r{i}.mp4").read_bytes()


def _worker() -> int:
    """The process of an actor that is rendering."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"ray::RayWorker"):
                return int(entry.name)
    raise AssertionError("no actor is rendering")
