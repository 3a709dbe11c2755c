"""Nothing is lost: no input is ever replaced, whatever it is called; one run per output;
nothing stays of dead ones."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echomimic.errors import OutputError
from echomimic.media.image import write_picture
from echomimic.media.output import check_file, claim, claimed, hidden_beside, part_of, placed, write_whole
from echomimic.media.video import Shape, open_writer
from tests.cli.door import run

MINE = b"years of work"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "mine.mp4").write_bytes(MINE)
    return folder / "mine.mp4"


def _linked(path: Path, how: Callable[[Path, Path], None]) -> Path:
    name = path.parent.parent / "other.mp4"
    how(path, name)
    return name


SPELLINGS: dict[str, Callable[[Path], Path]] = {
    "itself": lambda p: p,
    "relative": lambda p: Path(os.path.relpath(p)),
    "dots": lambda p: p.parent / ".." / p.parent.name / "." / p.name,
    "link": lambda p: _linked(p, lambda a, b: b.symlink_to(a)),
    "hard link": lambda p: _linked(p, lambda a, b: os.link(a, b)),
    "folder link": lambda p: (p.parent.parent / "f").symlink_to(p.parent) or p.parent.parent / "f" / p.name,  # type: ignore[func-returns-value]
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_input_is_never_an_output(mine: Path, spelling: str) -> None:
    output = SPELLINGS[spelling](mine)
    with pytest.raises(OutputError, match=r"is an input too .*choose another name"):
        check_file(output, True, [mine])
    assert mine.read_bytes() == MINE


@pytest.mark.parametrize("depth", [1, 2])
def test_a_folder_that_holds_an_input_is_no_output(mine: Path, depth: int) -> None:
    with pytest.raises(OutputError, match="holds an input"):
        check_file(mine.parents[depth - 1], True, [mine])


def test_inputs_that_are_not_there_or_not_given_do_not_matter(tmp_path: Path) -> None:
    check_file(tmp_path / "o.mp4", True, [None, "", "auto", tmp_path / "none", Path("a\0b")])


@pytest.mark.parametrize("to", ["nowhere", "o.mp4"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_links_that_lead_nowhere_are_kept(tmp_path: Path, to: str, overwrite: bool) -> None:
    (tmp_path / "o.mp4").symlink_to(to)
    with pytest.raises(OutputError, match=r"link that leads nowhere|cannot be written"):
        check_file(tmp_path / "o.mp4", overwrite)
    assert (tmp_path / "o.mp4").is_symlink()


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "o.bin").write_bytes(MINE)
    (tmp_path / "o.bin").symlink_to("real/o.bin")
    write_whole(tmp_path / "o.bin", b"new")
    assert (tmp_path / "o.bin").is_symlink()
    assert (tmp_path / "real" / "o.bin").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name", ["/dev/null", "/dev/full", "/", ".", "..", "", "a\0b.mp4", "n" * 300 + ".mp4"]
)
def test_places_that_take_no_file(name: str) -> None:
    with pytest.raises(OutputError, match="choose another"):
        check_file(Path(name), False)


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sheet.png"
    write_picture(path, np.zeros((70, 70, 3), np.uint8))
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="the disk is full; free some room"):
        write_picture(path, np.ones((70, 70, 3), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_claimed_output_is_refused_to_others_and_free_afterwards(tmp_path: Path) -> None:
    with claim(tmp_path / "o.mp4"):
        with (
            pytest.raises(OutputError, match=r"being written by another run; wait .*"),
            claim(tmp_path / "o.mp4"),
        ):
            pass
        with claim(tmp_path / "p.mp4"):
            pass
    with claim(tmp_path / "o.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


DIES = """
import os, sys, numpy as np
from pathlib import Path
from echomimic.media.video import Shape, open_writer
with open_writer(Path(sys.argv[1]), Shape(64, 64, 25, 99), None, True) as writer:
    for _ in range(40):
        writer.add(np.zeros((64, 64, 3), np.uint8))
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("name", ["o.mp4", "o.webm", "frames"])
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert subprocess.run([sys.executable, "-c", DIES, str(path)], check=False).returncode == -9
    assert any("part" in left.name for left in tmp_path.iterdir())
    with open_writer(path, Shape(64, 64, 25, 2), None) as writer:
        writer.add(np.zeros((64, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_about_to_be_replaced_comes_back(tmp_path: Path) -> None:
    (old := part_of(tmp_path / "frames", "old")).mkdir()
    (old / "000001.png").write_bytes(MINE)
    with claimed(tmp_path / "frames"):
        assert (tmp_path / "frames" / "000001.png").read_bytes() == MINE
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


def test_motion_show_does_not_replace_its_portrait(
    tmp_path: Path, portrait: Path, short_speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motion, picture = tmp_path / "m.npz", tmp_path / "q.png"
    Image.open(portrait).save(picture)
    before = picture.read_bytes()
    assert run("motion", "speak", short_speech, "-o", motion, "-q") == 0
    assert run("motion", "show", motion, "--portrait", picture, "--png", picture, "--overwrite") == 2
    assert "is an input too" in capsys.readouterr().err
    assert picture.read_bytes() == before
    kept = motion.read_bytes()
    assert run("motion", "edit", motion, "-o", motion, "--mouth", 0.5, "--overwrite") == 2
    assert motion.read_bytes() == kept


def test_a_second_job_is_refused_before_it_works(tmp_path: Path, portrait: Path, short_speech: Path) -> None:
    with claim(tmp_path / "o.mp4"):
        assert run("animate", portrait, short_speech, "-o", tmp_path / "o.mp4", "-q") == 2
        assert run("animate", portrait, short_speech, "-o", portrait.parent, "--overwrite", "-q") == 2
    assert list(tmp_path.glob("*.mp4")) == []


def test_what_an_earlier_run_left_may_be_an_input(tmp_path: Path) -> None:
    """A dead run's hidden file can be played: whoever gives it as a driver must not lose it."""
    output = tmp_path / "o.mp4"
    for left in hidden_beside(output):
        left.write_bytes(MINE)
        with pytest.raises(OutputError, match="is an input too"), claim(output, True, [left]):
            pass
        assert left.read_bytes() == MINE
        left.unlink()


@pytest.mark.parametrize("linked", [False, True])
def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path, linked: bool) -> None:
    (folder := tmp_path / "photos.npz").mkdir()
    (folder / "me.jpg").write_bytes(MINE)
    output = tmp_path / "link.npz" if linked else folder
    if linked:
        output.symlink_to(folder)
    with pytest.raises(OutputError, match=r"is a folder, and a file is to be written; choose another name"):
        check_file(output, True)
    with pytest.raises(OutputError, match="cannot be written"):
        write_whole(output, b"new")
    assert (folder / "me.jpg").read_bytes() == MINE


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "frames").mkdir()
    (folder / "000001.png").write_bytes(MINE)
    replace = os.replace

    def refused(source: Path, target: Path) -> None:
        if source == part_of(folder):
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OutputError, match="Permission denied"), placed(folder) as part:
        part.mkdir()
    assert (folder / "000001.png").read_bytes() == MINE
    assert list(tmp_path.iterdir()) == [folder]
