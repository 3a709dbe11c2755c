"""Rows become the same videos as single runs, exactly once, whatever interrupts the batch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from echomimic.batch import work
from echomimic.batch.manifest import read_manifest
from echomimic.batch.places import Folder
from echomimic.batch.pool import LocalPool, Lost
from echomimic.batch.run import run_batch
from echomimic.batch.work import Outcome
from echomimic.progress import Report
from echomimic.request import Settings
from tests.batch.conftest import Make, batch, states
from tests.cli.door import run
from tests.conftest import FakeEngine

ROOT = Path(__file__).resolve().parents[2]


def test_a_worker_beside_others_draws_on_its_own_cores(manifest: Make, tmp_path: Path) -> None:
    row = read_manifest(str(manifest({"id": "a"})))[0][0]
    one = work.BatchWork(Folder(str(tmp_path / "one"), tmp_path / "w"), tmp_path / "c", cores=1)
    one.folder.prepare()
    assert one.render(row, lambda _: None).state == "done"
    assert one._loaded is not None
    assert getattr(one._loaded[1], "threads", None) == 1


def test_good_rows_equal_single_runs_and_bad_ones_do_not_stop_them(
    manifest: Make, inputs: Path, tmp_path: Path
) -> None:
    path, out = (
        manifest({"id": "a", "seed": 1}, {"id": "b", "portrait": "s.wav"}, {"id": "c", "seed": 2}),
        tmp_path / "out",
    )
    assert batch(path, "-o", out) == 1
    assert states(out) == {"a": "done", "b": "failed", "c": "done"}
    for name, seed in (("a", 1), ("c", 2)):
        single = tmp_path / f"{name}.mp4"
        run(
            "animate",
            inputs / "p.jpg",
            inputs / "s.wav",
            "-o",
            single,
            "--size",
            128,
            "--length",
            3,
            "--seed",
            seed,
            "-q",
        )
        assert (out / f"{name}.mp4").read_bytes() == single.read_bytes()


def test_a_second_run_does_nothing_and_a_third_renders_what_is_missing(
    manifest: Make, tmp_path: Path, fake_engine: FakeEngine
) -> None:
    path, out = manifest({"id": "a"}, {"id": "b"}), tmp_path / "out"
    assert batch(path, "-o", out) == 0
    made, before = len(fake_engine.seen), (out / "a.mp4").stat().st_mtime_ns
    assert batch(path, "-o", out) == 0
    assert len(fake_engine.seen) == made
    (out / "b.mp4").unlink()
    assert batch(path, "-o", out) == 0
    assert states(out) == {"a": "skipped", "b": "done"}
    assert (out / "a.mp4").stat().st_mtime_ns == before
    assert sorted(p.name for p in out.iterdir()) == ["a.json", "a.mp4", "b.json", "b.mp4", "report.json"]


def test_what_differs_is_refused_unless_asked_for(
    manifest: Make, inputs: Path, tmp_path: Path, fake_engine: FakeEngine
) -> None:
    out = tmp_path / "out"
    assert batch(manifest({"id": "a", "seed": 1}), "-o", out) == 0
    assert batch(manifest({"id": "a", "seed": 2}), "-o", out) == 1
    assert states(out) == {"a": "refused"}
    assert batch(manifest({"id": "a", "seed": 2}), "-o", out, "--overwrite") == 0
    (inputs / "s.wav").write_bytes((inputs / "s.wav").read_bytes()[:-3200])
    assert batch(manifest({"id": "a", "seed": 2}), "-o", out) == 1, (
        "another speech under the same name went unseen"
    )


@pytest.mark.parametrize("record", ["", "[]", "{}", "[" * 100_000])
def test_a_record_that_cannot_be_read_is_none(
    manifest: Make, tmp_path: Path, fake_engine: FakeEngine, record: str
) -> None:
    path, out = manifest({"id": "a"}), tmp_path / "out"
    assert batch(path, "-o", out) == 0
    (out / "a.json").write_text(record)
    assert batch(path, "-o", out) == 1
    assert states(out) == {"a": "refused"}
    assert batch(path, "-o", out, "--overwrite") == 0


def test_a_file_of_somebody_else_is_not_replaced(
    manifest: Make, tmp_path: Path, fake_engine: FakeEngine
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_bytes(b"mine")
    assert batch(manifest({"id": "a"}), "-o", out) == 1
    assert (out / "a.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["a.json", "report.json"])
def test_records_and_reports_of_somebody_else_are_not_replaced(
    manifest: Make, tmp_path: Path, fake_engine: FakeEngine, name: str
) -> None:
    (out := tmp_path / "out").mkdir()
    (out / name).write_text('{"mine": true}')
    assert batch(manifest({"id": "a"}), "-o", out) != 0
    assert (out / name).read_text() == '{"mine": true}'
    assert not (out / "a.mp4").exists()
    assert batch(manifest({"id": "a"}), "-o", out, "--overwrite") == 0


def test_no_row_replaces_an_input_of_another(
    manifest: Make, tmp_path: Path, inputs: Path, fake_engine: FakeEngine
) -> None:
    (out := tmp_path / "out").mkdir()
    (out / "a.mp4").write_bytes(b"mine")
    (inputs / "film.mp4").hardlink_to(out / "a.mp4")
    path = manifest({"id": "a"}, {"id": "b", "driver": "film.mp4"}, {"id": "c"})
    assert batch(path, "-o", out, "--overwrite") == 1
    assert states(out)["a"] == "refused"
    assert states(out)["c"] == "done"
    assert (out / "a.mp4").read_bytes() == b"mine"


def test_the_list_is_not_replaced_by_the_report(manifest: Make, inputs: Path) -> None:
    path = manifest({"id": "a"}).rename(inputs / "report.json")
    before = path.read_bytes()
    assert batch(path, "-o", inputs) == 2
    assert batch(path, "-o", inputs, "--overwrite") == 2
    assert path.read_bytes() == before


def test_killed_between_video_and_record_the_row_is_rendered_again(
    manifest: Make, tmp_path: Path, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = manifest({"id": "a"}), tmp_path / "out"
    write = Folder.write

    def dies(self: Folder, name: str, content: bytes) -> None:
        if name == "a.json":
            raise KeyboardInterrupt
        write(self, name, content)

    monkeypatch.setattr(Folder, "write", dies)
    rows, _ = read_manifest(str(path))
    folder = Folder(str(out), tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        work.BatchWork(folder, tmp_path / "cache").render(rows[0], lambda _: None)
    monkeypatch.undo()
    assert (out / "a.mp4").exists()
    monkeypatch.setattr("echomimic.engine.load", lambda *_: fake_engine)
    assert work.BatchWork(folder, tmp_path / "cache").render(rows[0], lambda _: None).state == "done"
    assert (out / "a.json").exists()


class Fragile:
    """A pool whose worker dies ``deaths`` times under each row before it renders it."""

    def __init__(self, deaths: int) -> None:
        self._deaths, self._died = deaths, 0
        self._row: object = None

    def has_room(self, row: object) -> bool:
        return self._row is None

    def start(self, row: object) -> None:
        self._row = row

    def wait(self, seconds: float) -> list[Outcome | Lost]:
        row, self._row = self._row, None
        self._died += 1
        return [Lost(row, "killed") if self._died <= self._deaths else Outcome(row.line, row.id, "done")]  # type: ignore[attr-defined, arg-type]

    def stages(self) -> dict[str, object]:
        return {}

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("deaths", "state", "tries"), [(0, "done", 1), (1, "done", 2), (2, "done", 3), (9, "set aside", 3)]
)
def test_a_lost_worker_is_tried_again_and_a_row_that_kills_its_workers_is_set_aside(
    manifest: Make, deaths: int, state: str, tries: int
) -> None:
    rows, refused = read_manifest(str(manifest({"id": "a"})))
    outcome = run_batch(rows, refused, Fragile(deaths), retries=2).outcomes[0]  # type: ignore[arg-type]
    assert (outcome.state, outcome.attempts) == (state, tries)


def test_an_engine_is_loaded_once_for_rows_that_share_it(
    manifest: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def load(settings: Settings, report: Report) -> FakeEngine:
        loads.append(settings.model)
        return FakeEngine()

    monkeypatch.setattr("echomimic.engine.load", load)
    path = manifest(
        *(
            {"id": f"r{i}", "seed": i, "model": m, "size": 256}
            for i, m in enumerate(["preview", "v1", "preview", "v1"])
        )
    )
    assert batch(path, "-o", tmp_path / "out") == 0
    assert loads == ["preview", "v1"]


@pytest.mark.slow
def test_ctrl_c_finishes_the_running_row_and_the_same_command_goes_on(manifest: Make, tmp_path: Path) -> None:
    path, out = manifest(*({"id": f"r{i}", "seed": i, "length": 60} for i in range(4))), tmp_path / "out"
    command = [sys.executable, "-m", "echomimic", "batch", str(path), "-o", str(out), "-q"]
    going = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=_listen)
    while not (out / ".r0.claim").exists() and going.poll() is None:
        time.sleep(0.01)
    going.send_signal(signal.SIGINT)
    _, told = going.communicate(timeout=60)
    assert (going.returncode, b"Traceback" in told) == (130, False)
    assert states(out) == {"r0": "done", "r1": "stopped", "r2": "stopped", "r3": "stopped"}
    assert batch(path, "-o", out) == 0
    assert states(out) == {"r0": "skipped", "r1": "done", "r2": "done", "r3": "done"}


def _listen() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored


@pytest.mark.slow
def test_kill_9_leaves_nothing_half_and_the_rest_is_finished(manifest: Make, tmp_path: Path) -> None:
    path, out = manifest(*({"id": f"r{i}", "seed": i, "length": 30} for i in range(3))), tmp_path / "out"
    command = [sys.executable, "-m", "echomimic", "batch", str(path), "-o", str(out), "-q"]
    for claim in (".r0.claim", ".r1.claim"):
        going = subprocess.Popen(command, cwd=ROOT)
        while not (out / claim).exists() and going.poll() is None:
            time.sleep(0.005)
        time.sleep(0.05)
        os.kill(going.pid, signal.SIGKILL)
        going.wait()
        for record in out.glob("r?.json"):
            assert (out / json.loads(record.read_text())["output"]).stat().st_size > 0
    assert batch(path, "-o", out) == 0
    assert set(states(out).values()) <= {"done", "skipped"}
    whole = tmp_path / "whole"
    assert batch(path, "-o", whole) == 0
    assert [(out / f"r{i}.mp4").read_bytes() == (whole / f"r{i}.mp4").read_bytes() for i in range(3)] == [
        True
    ] * 3


def test_two_batches_do_not_share_a_folder(
    manifest: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from echomimic.batch.run import alone_in

    path, out = manifest({"id": "a"}), tmp_path / "out"
    out.mkdir()
    with alone_in(Folder(str(out), tmp_path), "report.json"):
        assert batch(path, "-o", out) == 2
    assert "being written by another run" in capsys.readouterr().err


def test_inputs_and_outputs_behind_urls(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_engine: FakeEngine
) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in ("p.jpg", "s.wav"):
        memory.pipe_file(f"/in/{name}", (inputs / name).read_bytes())
    row = {
        "portrait": "memory://in/p.jpg",
        "speech": "memory://in/s.wav",
        "size": 128,
        "length": 3,
        "id": "a",
    }
    (inputs / "far.jsonl").write_text(json.dumps(row))
    arguments = (inputs / "far.jsonl", "-o", "memory://out", "--work", tmp_path / "work")
    put = Folder.publish

    def cut(self: Folder, name: str) -> None:
        raise OSError("the line went dead")

    monkeypatch.setattr(Folder, "publish", cut)
    assert batch(*arguments) == 1
    assert not memory.exists("/out/a.json"), "a cut upload was taken for done"
    monkeypatch.setattr(Folder, "publish", put)
    assert batch(*arguments) == 0
    near = tmp_path / "near"
    (inputs / "near.jsonl").write_text(json.dumps({**row, "portrait": "p.jpg", "speech": "s.wav"}))
    assert batch(inputs / "near.jsonl", "-o", near) == 0
    assert memory.cat_file("/out/a.mp4") == (near / "a.mp4").read_bytes()
    seen = len(fake_engine.seen)
    assert batch(*arguments) == 0
    assert len(fake_engine.seen) == seen
    memory.pipe_file("/in/jobs.jsonl", (inputs / "near.jsonl").read_bytes() + b"\n{broken")
    assert batch("memory://in/jobs.jsonl", "-o", "memory://third", "--work", tmp_path / "work") == 1
    assert memory.cat_file("/third/a.mp4") == memory.cat_file("/out/a.mp4")


def test_a_local_pool_gives_back_what_dies_in_it(
    tmp_path: Path, manifest: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = read_manifest(str(manifest({"id": "a"})))
    pool = LocalPool(work.BatchWork(Folder(str(tmp_path), tmp_path), tmp_path))
    monkeypatch.setattr(work.BatchWork, "render", lambda *_: (_ for _ in ()).throw(SystemExit(3)))
    pool.start(rows[0])
    assert isinstance(pool.wait(5)[0], Lost)
    pool.close()
