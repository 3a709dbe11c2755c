"""What the studio's tests share. Without the extra, every file of them is skipped
with a word why (see ``door``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.studio.door import Door


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A studio that several tests share; they leave no jobs waiting."""
    from tests.studio.door import opened

    with opened(tmp_path_factory.mktemp("home")) as door:
        yield door


@pytest.fixture(scope="session")
def portrait_id(door: Door) -> str:
    """The shipped portrait, uploaded."""
    from tests.studio.door import EXAMPLE

    return door.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes(), "portrait.jpg")


@pytest.fixture(scope="session")
def speech_id(door: Door) -> str:
    """Three seconds of speech, uploaded."""
    from tests.studio.door import sound

    return door.upload("speech", sound(3.0), "speech.wav")


@pytest.fixture
def weights_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model can be ordered."""
    monkeypatch.setattr("echomimic.studio.orders.refuse_missing", lambda *_: None)
