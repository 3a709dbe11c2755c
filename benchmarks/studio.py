"""The studio's own figures: ``python -m benchmarks.studio [--kills 20]``.

How soon the server answers, how soon a dropped picture moves, how long a still takes, what an edit draws, and
whether a V1 job (nets small enough for a test) survives so many kills of the server at random moments.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from echomimic.flow import run
from echomimic.media.video_reader import VideoReader
from echomimic.request import Request, Settings
from tests import tiny
from tests.studio.door import EXAMPLE, Door, opened, sound
from tests.studio.server import Server

SETTINGS: dict[str, Any] = {
    "model": "v1",
    "width": 128,
    "height": 128,
    "length": 3,
    "dtype": "fp32",
    "cfg": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        figures = {**interactive(Path(folder) / "home"), **lists(Path(folder) / "full")}
        print(json.dumps(figures), flush=True)
        if kills:
            print(json.dumps(killed(Path(folder), kills)))


def interactive(home: Path) -> dict[str, Any]:
    """Times of what a person waits for."""
    began = time.perf_counter()
    with Server(home) as server:
        server.ask("GET", "/api/sizes")
        figures: dict[str, Any] = {"server_up_s": time.perf_counter() - began}
        time.sleep(5)  # what is prepared ahead is ready then, as when a person looks at the page first
        began = time.perf_counter()
        portrait = server.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())
        speech = server.upload("speech", sound(6.0))
        body = {"portrait": portrait, "speech": speech}
        job = server.ask("POST", "/api/jobs", body)
        while not server.job(job["id"])["preview"]:
            time.sleep(0.02)
        figures["drop_to_first_picture_s"] = time.perf_counter() - began
        server.until(job["id"], lambda job: job["state"] == "done")
        figures["drop_to_whole_6_s_clip_s"] = time.perf_counter() - began
        return {
            k: round(v, 3)
            for k, v in {**figures, **stills(server, body), **edit(server, job["take"])}.items()
        }


def stills(server: Server, body: dict[str, str]) -> dict[str, float]:
    """Milliseconds of a still as a slider moves, at 512 x 512."""
    times = []
    for step in range(40):
        settings = {"expressiveness": round(0.05 * step, 2), "size": 512}
        began = time.perf_counter()
        server.ask("POST", "/api/still", {**body, "time": 2.0, "settings": settings})
        times.append(1000 * (time.perf_counter() - began))
    late = sorted(times[2:])
    return {"still_median_ms": statistics.median(late), "still_p95_ms": late[int(0.95 * len(late))]}


def edit(server: Server, take: str) -> dict[str, float]:
    """What an edit of one second draws and how long it takes."""
    path = f"/api/takes/{take}"
    before = frames_of(server.ask("GET", f"{path}/video"))
    began = time.perf_counter()
    change = {"op": "gain", "track": "head", "start": 2.0, "stop": 3.0, "amount": 0.2}
    job = server.ask("PUT", f"{path}/edits", {"edits": [change]})["job"]
    server.until(job["id"], lambda job: job["state"] == "done")
    took = time.perf_counter() - began
    after = frames_of(server.ask("GET", f"{path}/video"))
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    return {"edit_of_25_frames_changed": changed, "of": len(before), "edit_s": took}


def lists(home: Path) -> dict[str, float]:
    """Milliseconds of the lists when there are 100 jobs and 1,000 takes: the slowest of ten."""
    with opened(home) as door:
        ids = {"portrait": door.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())}
        ids["speech"] = door.upload("speech", sound(1.0))
        with door.studio.database.write() as connection:
            for seed in range(1000):
                row: dict[str, Any] = {
                    **ids,
                    "settings": {"seed": seed},
                    "request": {},
                    "edits": [],
                    "origin": None,
                }
                take = door.studio.takes.add(connection, row)
                if seed < 100:
                    door.studio.jobs.add(connection, "render", "preview", "preview", "a talk", take=take)
        return {
            f"{name}_ms": round(max(_milliseconds(door, path) for _ in range(10)), 1)
            for name, path in (("100_jobs", "/api/jobs"), ("200_of_1000_takes", "/api/takes?limit=200"))
        }


def _milliseconds(door: Door, path: str) -> float:
    began = time.perf_counter()
    assert door.client.get(path).status_code == 200
    return 1000 * (time.perf_counter() - began)


def killed(folder: Path, kills: int) -> dict[str, Any]:
    """A V1 job and five that wait, the server killed again and again."""
    draw = random.Random(14)
    weights = tiny.write(folder / "weights", "v1", acc=False, pose=False)
    speech = folder / "speech.wav"
    speech.write_bytes(sound(4.0))
    home = folder / "killed"
    # long enough to be running still at the last kill
    settings = {**SETTINGS, "steps": 4 * kills, "length": 32, "context_frames": 3, "context_overlap": 1}
    server = Server(home, ECHOMIMIC_HOME=str(weights))
    body = {"portrait": server.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes())}
    body["speech"] = server.upload("speech", speech.read_bytes())
    orders = [{**body, "settings": {**settings, "seed": seed}} for seed in range(6)]
    first, *rest = (server.ask("POST", "/api/jobs", order)["id"] for order in orders)
    kept = 0
    for _ in range(kills):
        time.sleep(draw.uniform(0.0, 9.0))
        server.kill()
        server = Server(home, ECHOMIMIC_HOME=str(weights))
        states = {job["id"]: job["state"] for job in server.ask("GET", "/api/jobs")["jobs"]}
        waiting = [id for id, state in states.items() if state == "queued" and id != first]
        # what has ended by then is listed apart; nothing may be missing, and what waits waits in its order
        kept += states.keys() == {first, *rest} and waiting == [id for id in rest if id in waiting]
    with server:
        done = server.until(first, lambda job: job["state"] not in ("queued", "running"))
        made = frames_of((home / "takes" / done["take"] / "video.mp4").read_bytes())
    torch.set_num_threads(1)  # as many as the server has here: sums of floats depend on it
    run(
        Request(EXAMPLE / "portrait.jpg", speech, folder / "whole.mp4"), Settings(**settings, weights=weights)
    )
    same = made == frames_of((folder / "whole.mp4").read_bytes())
    return {
        "kills": kills,
        "order_kept": kept,
        "state": done["state"],
        "attempts": done["attempts"],
        "same_bits": same,
    }


def frames_of(video: bytes) -> list[bytes]:
    """Its decoded frames."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        Path(file.name).write_bytes(video)
        return [frame.tobytes() for frame in VideoReader(file.name)]


if __name__ == "__main__":
    main()
