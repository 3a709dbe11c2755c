"""What several tests share: the shipped example, a short speech, and an engine that costs nothing."""

import os
from collections.abc import Generator, Iterable
from pathlib import Path

import numpy as np
import pytest

from echomimic.conditions import Conditions
from echomimic.request import Settings

# Triton decides when it is first imported, which other tests than its own may do, whether it is interpreted.
os.environ.setdefault("TRITON_INTERPRET", "1")

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example"


class FakeEngine:
    """Fills frames with the number of the frame; remembers the conditions it got."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.seen: list[object] = []
        self.closed = 0

    def frames(
        self, conditions: Conditions, report: object = lambda _: None, frames: Iterable[int] | None = None
    ) -> Generator[np.ndarray, None, None]:
        self.seen.append(conditions)
        try:
            for i in frames or range(conditions.frames):
                yield np.full((conditions.view.height, conditions.view.width, 3), i % 256, np.uint8)
        finally:
            self.closed += 1

    def finished(self, conditions: object) -> None:
        self.seen.append("finished")


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Every job in this test is rendered by a :class:`FakeEngine`."""
    engine = FakeEngine()
    monkeypatch.setattr("echomimic.engine.load", lambda *_: engine)
    return engine


@pytest.fixture
def portrait() -> Path:
    return EXAMPLE / "portrait.jpg"


@pytest.fixture
def speech() -> Path:
    return EXAMPLE / "speech.flac"


@pytest.fixture
def short_speech(tmp_path: Path, speech: Path) -> Path:
    """The first 0.6 s of the example's speech, as a WAV file in a folder of its own."""
    import wave

    from echomimic.media.audio import RATE, Speech

    folder = tmp_path / "short"
    folder.mkdir()
    samples = (Speech.open(speech).read(0, round(0.6 * RATE)) * 32767).astype(np.int16)
    with wave.open(str(folder / "short.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return folder / "short.wav"
