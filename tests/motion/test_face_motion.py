"""Face motion: a value that cannot be wrong, and its file."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomimic.errors import DriverError, OutputError
from echomimic.motion.face_motion import FaceMotion
from echomimic.motion.npz import write_npz
from tests.motion.people import fault_of, portrait, talker


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    motion = talker(5)
    motion = FaceMotion(
        motion.points, 24.0, (640, 480), np.array([1, 1, 0, 1, 1], bool), np.tile(np.eye(4), (5, 1, 1))
    )
    motion.save(tmp_path / "m.npz")
    again = FaceMotion.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(again.points, motion.points)
    np.testing.assert_array_equal(again.seen, motion.seen)
    np.testing.assert_array_equal(again.pose, motion.pose)
    assert (again.fps, again.size) == (24.0, (640, 480))
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_a_motion_cannot_be_changed() -> None:
    motion = talker(2)
    with pytest.raises(ValueError, match="read-only"):
        motion.points[0] = 0


def test_cutting_and_resizing() -> None:
    motion = talker(10)
    assert len(motion[2:5]) == 3
    half = motion.resized(256, 128)
    np.testing.assert_allclose(half.points[0, 7], motion.points[0, 7] * [0.5, 0.25, 0.5], rtol=1e-6)
    assert half.size == (256, 128)


@pytest.mark.parametrize(
    ("points", "fps", "size", "words"),
    [
        (np.zeros((3, 468, 3)), 25, (10, 10), "478"),
        (np.zeros((0, 478, 3)), 25, (10, 10), "frames"),
        (np.zeros((3, 478, 3)), 0, (10, 10), "rate"),
        (np.zeros((3, 478, 3)), 25, (0, 10), "size"),
        (np.full((3, 478, 3), np.nan), 25, (10, 10), "frame 0"),
        (np.array("text"), 25, (10, 10), "numbers"),
    ],
)
def test_nonsense_is_refused(points: np.ndarray, fps: float, size: tuple[int, int], words: str) -> None:
    with pytest.raises(DriverError, match=words):
        FaceMotion(points, fps, size)


def test_refusals_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DriverError, match=r"broken\.npz"):
        FaceMotion.load(tmp_path / "broken.npz")
    with pytest.raises(DriverError, match=r"gone\.npz"):
        FaceMotion.load(tmp_path / "gone.npz")
    write_npz(tmp_path / "other.npz", {"a": np.zeros(3)})
    with pytest.raises(DriverError, match=r"other\.npz.*no face motion"):
        FaceMotion.load(tmp_path / "other.npz")


def test_files_of_a_later_format_are_refused(tmp_path: Path) -> None:
    arrays = talker(2).arrays() | {"face_version": np.array(99)}
    write_npz(tmp_path / "m.npz", arrays)
    with pytest.raises(DriverError, match="update"):
        FaceMotion.load(tmp_path / "m.npz")


def test_a_pickle_in_an_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", face_points=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DriverError, match=r"m\.npz"):
        FaceMotion.load(tmp_path / "m.npz")


def test_saving_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        talker(2).save(tmp_path / "nowhere" / "m.npz")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = folder / "whole.npz"
    if not path.exists():
        FaceMotion(portrait()[None], 25.0, (512, 512)).save(path)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    damaged = folder / "damaged.npz"
    damaged.write_bytes(bytes(whole[:cut]) if data.draw(st.booleans()) else bytes(whole))
    fault = fault_of(lambda: FaceMotion.load(damaged))
    assert fault is None or ("damaged.npz" in fault and "\n" not in fault)


@pytest.mark.parametrize(
    "points", [np.zeros((2, 478, 3)), np.full((2, 478, 3), 7.0), np.full((1, 478, 3), 9e6)]
)
def test_faces_without_a_size_or_beyond_any_picture_are_refused(points: np.ndarray) -> None:
    with pytest.raises(DriverError, match="; give "):
        FaceMotion(points, fps=25.0, size=(512, 512))


@pytest.mark.parametrize("direction", [(1, 0), (0, 1), (1, 0.5), (3, -1)])
def test_faces_on_a_line_are_refused(direction: tuple[float, float]) -> None:
    points = portrait()[None].repeat(2, 0)
    points[1, :, :2] = points[1, :, :1] * np.array(direction, np.float32) + 100
    with pytest.raises(DriverError, match="on one line; give "):
        FaceMotion(points, fps=25.0, size=(512, 512))


@pytest.mark.parametrize("fps", [1e-300, 0.0, -1.0, np.inf, np.nan, 1001])
def test_rates_that_no_motion_has_are_refused(fps: float) -> None:
    with pytest.raises(DriverError, match=r"give 0.1 to 1000 frames per second"):
        points = np.random.default_rng(0).uniform(0, 512, (2, 478, 3)).astype(np.float32)
        FaceMotion(points, fps=fps, size=(512, 512))


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("damaged", [False, True])
def test_packings_that_numpy_does_not_use_are_refused(tmp_path: Path, packing: int, damaged: bool) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w", packing) as archive:
        archive.writestr("face_points.npy", bytes(4000))
    if damaged:
        held = bytearray((tmp_path / "m.npz").read_bytes())
        held[60] ^= 255
        (tmp_path / "m.npz").write_bytes(held)
    with pytest.raises(DriverError, match=r"m\.npz .*packed in a way that NumPy does not.*; make"):
        FaceMotion.load(tmp_path / "m.npz")


@pytest.mark.parametrize("size", [(1, 1), (65536, 1), (2, 3)])
def test_a_motion_of_the_smallest_picture_is_one(tmp_path: Path, size: tuple[int, int]) -> None:
    points = np.random.default_rng(0).uniform(0, 1, (3, 478, 3)) * np.array([*size, size[0]])
    FaceMotion(points, fps=25.0, size=size).save(tmp_path / "m.npz")
    found = FaceMotion.load(tmp_path / "m.npz")
    assert found.size == size
    assert np.isfinite(found.resized(64, 64).points).all()


def test_a_file_that_unpacks_to_far_more_than_it_is_is_refused_unread(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("points.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(48):
            member.write(bytes(1 << 24))
    with pytest.raises(DriverError, match=r"bomb\.npz .*unpacks to more than a motion file can hold"):
        FaceMotion.load(bomb)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_a_motion_give_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npz"
    path.write_bytes(content)
    fault = fault_of(lambda: FaceMotion.load(path))
    assert fault is not None
    assert "any.npz" in fault
    assert "\n" not in fault
