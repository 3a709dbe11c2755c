"""Files that cannot be read are refused in one line that says why."""

import os
from pathlib import Path

import pytest

from echomimic.errors import PictureError
from echomimic.media.files import check_readable


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "full.png").write_text("x")
    cases = {
        tmp_path / "none.png": "none.png: no such file; give the path of a picture",
        tmp_path / "full.png" / "in.png": "no such file",
        tmp_path / ("n" * 300): "cannot be reached .File name too long.",
        tmp_path: "is a folder",
        tmp_path / "empty.png": r"empty.png is empty \(0 bytes\)",
    }
    for path, says in cases.items():
        with pytest.raises(PictureError, match=says):
            check_readable(path, PictureError, "a picture")
    check_readable(tmp_path / "full.png", PictureError, "a picture")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PictureError, match="may not be read by this user"):
        check_readable(tmp_path / "full.png", PictureError, "a picture")
