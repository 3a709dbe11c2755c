"""A studio for tests: its API without a network, its worker in this process,
a portrait and a short speech."""

import contextlib
import io
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')
pytest.importorskip(
    "python_multipart", reason='the studio needs its extra: pip install "echomimic-studio[studio]"'
)

from starlette.testclient import TestClient

from echomimic.media.audio import RATE, Speech
from echomimic.studio.app import make_app
from echomimic.studio.studio import Studio
from echomimic.studio.worker import Worker

TOKEN = "a-token-for-tests"
MOST = 3 << 20
EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"


class Door:
    """One studio, seen through its API."""

    def __init__(self, studio: Studio, client: TestClient) -> None:
        self.studio, self.client = studio, client
        self.worker = Worker(studio.home, studio.database, "preview")

    def upload(self, kind: str, data: bytes, name: str = "x") -> str:
        """Uploads a file that must be taken; its id."""
        answer = self.client.post(f"/api/assets?kind={kind}&name={name}", content=data)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"])

    def order(self, **body: object) -> dict[str, object]:
        """Orders a job that must be taken."""
        answer = self.client.post("/api/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def work(self) -> int:
        """Does everything that waits for the preview; how many jobs that were."""
        count = 0
        while self.worker.work_once():
            count += 1
        return count


def sound(seconds: float, start: float = 0.0) -> bytes:
    """A part of the shipped speech as a WAV file."""
    samples = Speech.open(EXAMPLE / "speech.flac").read(round(start * RATE), round((start + seconds) * RATE))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype(np.int16).tobytes())
    return out.getvalue()


@contextlib.contextmanager
def opened(home: Path) -> Iterator[Door]:
    """A studio of its own in ``home``."""
    studio = Studio(home, TOKEN, most_upload=MOST, working=False)
    with TestClient(make_app(studio, page=False), base_url="http://127.0.0.1") as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield Door(studio, client)
