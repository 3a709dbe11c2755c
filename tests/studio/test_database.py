"""The studio's database: what threads leave behind."""

import sqlite3
import threading
from pathlib import Path

import pytest

from echomimic.studio.database import Database


def test_a_connection_is_closed_when_its_thread_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []

    class Connection(sqlite3.Connection):
        def close(self) -> None:
            closed.append(id(self))
            super().close()

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **given: connect(*args, **given, factory=Connection)
    )
    database = Database(tmp_path / "studio.db")
    reader = threading.Thread(target=database.rows, args=("SELECT * FROM jobs",))
    reader.start()
    reader.join()
    assert len(closed) == 1
    database.close()
    assert len(set(closed)) == 2
