"""Signals stop a job cleanly, whoever catches them on the way."""

import os
import signal
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from echomimic.arrays import Picture
from tests.cli.door import run
from tests.conftest import FakeEngine


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Signals as in a terminal: a suite that a script started in the background would ignore SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "swallowed", "code"),
    [(signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)],
)
def test_a_signal_leaves_nothing_and_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    portrait: Path,
    short_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: int,
    swallowed: bool,
    code: int,
) -> None:
    class Stopped(FakeEngine):
        def frames(
            self, conditions: object, report: object = lambda _: None, frames: Iterable[int] | None = None
        ) -> Generator[Picture, None, None]:
            yield np.zeros((512, 512, 3), np.uint8)
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                if swallowed:
                    raise ImportError("initialization failed") from None
                raise

    monkeypatch.setattr("echomimic.engine.load", lambda *_: Stopped())
    before = signal.getsignal(number)
    out = tmp_path / "out"
    out.mkdir()
    assert run("animate", portrait, short_speech, "-o", out / "t.mp4", "-q") == code
    assert "interrupted; nothing half-written" in capsys.readouterr().err
    assert list(out.iterdir()) == []
    assert signal.getsignal(number) is before
