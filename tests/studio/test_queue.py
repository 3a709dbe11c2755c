"""The queue: order, moving, stopping, trying again, and that nothing is done twice or lost."""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echomimic.errors import ResourceError
from echomimic.progress import Progress
from echomimic.studio import work, worker
from echomimic.studio.database import Database
from echomimic.studio.jobs import LEASE, Jobs
from echomimic.studio.report import JobReport
from echomimic.studio.worker import Worker
from tests.studio.door import Door

Row = dict[str, object]


@pytest.fixture
def orders(
    door: Door, portrait_id: str, speech_id: str, weights_there: None
) -> Iterator[Callable[..., list[str]]]:
    """Orders so many V1 videos; what is left of them goes afterwards."""
    made: list[str] = []

    def order(count: int, model: str = "v1") -> list[str]:
        for seed in range(count):
            settings = {"model": model, "seed": seed}
            made.append(str(door.order(portrait=portrait_id, speech=speech_id, settings=settings)["id"]))
        return made[-count:]

    yield order
    door.studio.jobs.requeue()
    for id in made:
        door.client.delete(f"/api/jobs/{id}")


def claimed(door: Door, lane: str, worker: str) -> dict[str, Any]:
    job = door.studio.jobs.claim(lane, worker)
    assert job is not None
    return job


def waiting(door: Door) -> list[str]:
    jobs = door.client.get("/api/jobs?state=queued").json()["jobs"]
    assert [job["position"] for job in jobs] == list(range(1, len(jobs) + 1))
    return [job["id"] for job in jobs]


def test_first_come_first_served_unless_moved(door: Door, orders: Callable[..., list[str]]) -> None:
    a, b, c, d = orders(4)
    assert waiting(door) == [a, b, c, d]
    door.client.post(f"/api/jobs/{d}/move", json={"before": b})
    assert waiting(door) == [a, d, b, c]
    door.client.post(f"/api/jobs/{a}/move", json={"before": None})
    assert waiting(door) == [d, b, c, a]
    door.client.post(f"/api/jobs/{c}/move", json={"first": True})
    assert waiting(door) == [c, d, b, a]
    assert door.client.post(f"/api/jobs/{c}/move", json={"before": "jnone"}).status_code == 422
    for _ in range(80):  # halving places must not run out of bits
        door.client.post(f"/api/jobs/{a}/move", json={"before": b})
        door.client.post(f"/api/jobs/{b}/move", json={"before": a})
    assert waiting(door) == [c, d, b, a]
    assert [claimed(door, "diffusion", "w-1-1")["id"] for _ in range(4)] == [c, d, b, a]


def test_stopped_jobs_can_be_tried_again(door: Door, orders: Callable[..., list[str]]) -> None:
    a, b = orders(2)
    assert door.client.post(f"/api/jobs/{a}/stop").json()["state"] == "stopped"
    assert waiting(door) == [b]
    assert door.client.post(f"/api/jobs/{a}/stop").status_code == 409
    assert door.client.post(f"/api/jobs/{a}/move", json={"first": True}).status_code == 409
    assert door.client.post(f"/api/jobs/{a}/retry").json()["state"] == "queued"
    assert waiting(door) == [b, a]
    assert door.client.post(f"/api/jobs/{a}/retry").status_code == 409


def test_the_same_key_orders_once(
    door: Door, orders: Callable[..., list[str]], portrait_id: str, speech_id: str
) -> None:
    body = {"portrait": portrait_id, "speech": speech_id, "settings": {"model": "v2"}}
    first, second = (
        door.client.post("/api/jobs", json=body, headers={"idempotency-key": "k"}) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert len(waiting(door)) == 1
    door.client.delete(f"/api/jobs/{first.json()['id']}")
    assert waiting(door) == []


def test_previews_do_not_wait_for_diffusion(door: Door, orders: Callable[..., list[str]]) -> None:
    orders(2)
    (preview,) = orders(1, "preview")
    assert claimed(door, "preview", "w-1-1")["id"] == preview
    assert door.client.get("/api/jobs").json()["jobs"][0]["id"] == preview


def test_a_worker_that_lost_its_job_changes_nothing(door: Door, orders: Callable[..., list[str]]) -> None:
    (a,) = orders(1)
    jobs = door.studio.jobs
    assert claimed(door, "diffusion", "old-1-1")["id"] == a
    jobs.requeue()  # the server came back
    assert waiting(door) == [a]
    assert claimed(door, "diffusion", "new-2-2")["id"] == a
    assert not jobs.hold(a, "old-1-1", done=7)
    assert jobs.hold(a, "new-2-2", done=3)
    job = jobs.get(a)
    assert (job["done"], job["attempts"]) == (3, 2)
    assert job["lease"] - job["started"] <= LEASE + 1
    door.client.post(f"/api/jobs/{a}/stop")
    assert not jobs.hold(a, "new-2-2"), "a job that shall stop is told so at its next word"


def test_what_stops_with_the_server_stays_stopped(door: Door, orders: Callable[..., list[str]]) -> None:
    a, b = orders(2)
    for _ in range(2):
        door.studio.jobs.claim("diffusion", "w-1-1")
    door.client.post(f"/api/jobs/{a}/stop")
    door.studio.jobs.requeue()
    assert door.client.get(f"/api/jobs/{a}").json()["state"] == "stopped"
    assert waiting(door) == [b]


def test_fetching_tells_how_far_it_is_and_stops_when_told(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = door.order(kind="weights", model="v1")
    seen: list[Row] = []

    def get(model: str, report: JobReport) -> None:
        for done in (1_000, 2_000, 3_000):
            try:
                report(Progress("download", done * 1000, 4_000_000, detail="unet.pth"))
            except Exception:  # as a download does, which tries again
                continue
            seen.append(door.client.get(f"/api/jobs/{job['id']}").json())
            if done == 2_000:
                door.client.post(f"/api/jobs/{job['id']}/stop")
        raise AssertionError("it goes on")

    monkeypatch.setattr("echomimic.hub.get", get)
    assert Worker(door.studio.home, door.studio.database, "fetch").work_once()
    assert [(j["stage"], j["done"], j["total"], j["fraction"], j["note"]) for j in seen] == [
        ("download", 1_000_000, 4_000_000, 0.25, "unet.pth"),
        ("download", 2_000_000, 4_000_000, 0.5, "unet.pth"),
    ]
    assert door.client.get(f"/api/jobs/{job['id']}").json()["state"] == "stopped"
    door.client.delete(f"/api/jobs/{job['id']}")


def test_a_database_on_a_full_disk_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "full.db")
    pages = int(database.rows("PRAGMA page_count")[0]["page_count"])
    database.rows(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):  # the transaction that failed is over
        with pytest.raises(sqlite3.OperationalError, match="full"), database.write() as connection:
            for n in range(500):
                connection.execute(
                    "INSERT INTO changes (kind, id, gone) VALUES ('job', ?, 0)", [f"{n:01000}"]
                )
    assert database.rows("SELECT * FROM changes") == []
    database.rows("PRAGMA max_page_count = 1000000")
    with database.write() as connection:
        connection.execute("INSERT INTO changes (kind, id, gone) VALUES ('job', 'j', 0)")


def test_a_result_waits_for_room(
    door: Door, orders: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heart and the end of a job find the disk full for a while; the job is done all the same."""
    (a,) = orders(1, "preview")
    write, hold, left = Database.write, Jobs.hold, [3]
    full = sqlite3.OperationalError("database or disk is full")

    def refuse(*_: object, **__: object) -> Any:
        left[0] -= 1
        raise full

    def do(*_: object) -> None:
        monkeypatch.setattr(Database, "write", lambda *a: refuse() if left[0] > 0 else write(*a))
        monkeypatch.setattr(Jobs, "hold", lambda *a, **k: refuse() if left[0] > 0 else hold(*a, **k))

    monkeypatch.setattr(work.Work, "do", do)
    monkeypatch.setattr(worker, "AGAIN", 0.05)
    assert door.work() == 1
    assert door.client.get(f"/api/jobs/{a}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (MemoryError(), "memory ran out"),
        (ResourceError("no room; do this"), "no room; do this"),
        (RuntimeError("two\nlines"), "a fault in this program (RuntimeError: two)"),
    ],
)
def test_a_failure_is_one_line_and_the_queue_goes_on(
    door: Door,
    orders: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fault: Exception,
    told: str,
) -> None:
    a, b = orders(2, "preview")
    done: list[str] = []

    def do(_: work.Work, job: Row, report: JobReport) -> None:
        if job["id"] == a:
            raise fault
        done.append(str(job["id"]))

    monkeypatch.setattr(work.Work, "do", do)
    assert door.work() == 2
    failed = door.client.get(f"/api/jobs/{a}").json()
    assert (failed["state"], failed["error"].count("\n")) == ("failed", 0)
    assert failed["error"].startswith(told)
    assert done == [b]


@pytest.mark.parametrize(
    "body",
    [
        [],
        3,
        "x",
        None,
        {"kind": "nothing"},
        {"portrait": 3},
        {"portrait": "p", "speech": "s"},
        {"take": "t"},
        {"kind": "weights"},
        {"kind": "weights", "model": "preview"},
        {"kind": "weights", "model": ["v1"]},
        {"settings": {"steps": 0}},
        {"settings": {"nothing": 1}},
        {"settings": {"weights": "/etc"}},
        {"settings": []},
        {"settings": {"size": "1"}},
        {"settings": {"model": "v9"}},
        {"settings": {"seed": 2**31}},
        {"request": {"face": -1}},
        {"request": {"output": "/tmp/x"}},
        {"request": {"driver": 3}},
        {"request": {"driver": "/etc/passwd"}},
        {"edits": 1},
        {"edits": [1]},
        {"edits": [{"op": "gain", "start": 2, "stop": 1}]},
        {"edits": [{"op": "gain", "start": 0}]},
        {"edits": [{"op": "replace", "start": 0, "stop": 1, "source": "tx"}]},
        {"name": 3},
        {"request": {"face": "a"}},
    ],
)
def test_orders_are_checked_as_a_whole(door: Door, portrait_id: str, speech_id: str, body: object) -> None:
    if isinstance(body, dict) and not set(body) & {"kind", "portrait", "take"}:
        body = {"portrait": portrait_id, "speech": speech_id, **body}
    takes = door.client.get("/api/takes").json()
    answer = (
        door.client.post("/api/jobs", json=body)
        if body is not None
        else door.client.post("/api/jobs", content=b"{")
    )
    assert answer.status_code in (404, 422), answer.text
    assert "\n" not in answer.json()["error"]["message"]
    assert waiting(door) == []
    assert door.client.get("/api/takes").json() == takes
