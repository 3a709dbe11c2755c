"""A real studio in processes of its own, spoken to over its socket."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0


class Server:
    """``echomimic studio --no-page`` on a free port; ``environment`` is added to this process's."""

    def __init__(self, home: Path, *options: str, **environment: str) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [
            sys.executable,
            "-m",
            "echomimic",
            "studio",
            "--home",
            str(home),
            "--port",
            "0",
            "--no-page",
            *options,
        ]
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **environment}
        self.process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, env=variables, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        parts = urlsplit(self.address)
        self.port, self.token = parts.port, parse_qs(parts.query)["token"][0]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON that is answered, or the bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, data, {"Authorization": f"Bearer {self.token}", **headers})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 400, text
            return json.loads(text) if "json" in (answer.getheader("content-type") or "") else text

    def upload(self, kind: str, data: bytes) -> str:
        """Its id."""
        return str(self.ask("POST", f"/api/assets?kind={kind}", data)["id"])

    def job(self, id: str) -> dict[str, Any]:
        """As it stands."""
        return dict(self.ask("GET", f"/api/jobs/{id}"))

    def until(self, id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job as soon as something holds of it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if holds(job := self.job(id)):
                return job
            time.sleep(0.05)
        raise AssertionError(f"still {job}")

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


def events(server: Server, last: int | None = None) -> Iterator[tuple[str, Any]]:
    """The stream of events, one by one."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {server.token}"} | (
        {} if last is None else {"Last-Event-ID": str(last)}
    )
    with contextlib.closing(connection):
        connection.request("GET", "/api/events", headers=headers)
        answer = connection.getresponse()
        assert answer.getheader("x-accel-buffering") == "no"
        assert (answer.getheader("content-type") or "").startswith("text/event-stream")
        name = ""
        while data := answer.readline():
            line = data.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])
