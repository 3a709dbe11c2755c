"""Official pose files are read without running them, and every broken one is named."""

import contextlib
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomimic.errors import DriverError
from echomimic.motion.files.motion_file import read_motion
from echomimic.motion.files.official_poses import read_v1_file, read_v1_folder, read_v2_file, read_v2_folder
from echomimic.motion.files.plain_pickle import PlainPickleError, read_plain
from tests.motion.people import body_of, face_of, fault_of, portrait


def v2_frame(**changes: object) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    frame = {
        "bodies": {
            "candidate": rng.random((18, 2)),
            "subset": np.zeros((1, 18)),
            "score": rng.random((1, 18)),
        },
        "hands": rng.random((2, 21, 2)),
        "hands_score": rng.random((2, 21)),
        "faces": rng.random((1, 68, 2)),
        "faces_score": rng.random((1, 68)),
        "num": 0,
        "draw_pose_params": [768, 768, 0, 768, 0, 768],
    }
    return frame | changes


def npy_of(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(value, dtype=object), allow_pickle=True)
    return buffer.getvalue()


def v1_folder(folder: Path, frames: int = 3, start: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(start, start + frames):
        (folder / f"{i}.pkl").write_bytes(pickle.dumps((portrait() + i).astype(np.float64)))
    return folder


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    value = {
        "a": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "n": [1, 2.5, None],
    }
    plain = read_plain(pickle.dumps(value, protocol))
    np.testing.assert_array_equal(plain["a"].array(), value["a"])
    np.testing.assert_array_equal(plain["f"].array(), value["f"])
    assert plain["n"] == [1, 2.5, None]


def test_a_v1_folder_is_in_numeric_order(tmp_path: Path) -> None:
    motion = face_of(read_motion(v1_folder(tmp_path / "pose", 11), fps=30))
    assert len(motion) == 11
    assert (motion.fps, motion.size) == (30, (512, 512))
    np.testing.assert_allclose(motion.points[10] - motion.points[2], 8, atol=1e-3)


def test_a_v2_folder(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"{i}.npy").write_bytes(npy_of(v2_frame(num=i)))
    pose = body_of(read_motion(tmp_path))
    assert (len(pose), pose.size, pose.fps) == (2, (768, 768), 24.0)
    np.testing.assert_allclose(pose.hands[0], v2_frame()["hands"] * 768)
    np.testing.assert_allclose(pose.body_score[1], v2_frame()["bodies"]["score"][0])
    assert pose.face is not None
    assert pose.face.shape == (2, 68, 2)


def test_a_v2_pose_that_is_pasted_into_a_wider_picture(tmp_path: Path) -> None:
    (tmp_path / "0.npy").write_bytes(npy_of(v2_frame(draw_pose_params=[600, 400, 0, 600, 100, 500])))
    pose = read_v2_folder(tmp_path)
    assert pose.size == (600, 600)
    np.testing.assert_allclose(pose.hands[0], v2_frame()["hands"] * [400, 600] + [100, 0])


class TestFaults:
    def test_a_missing_frame_is_named(self, tmp_path: Path) -> None:
        (v1_folder(tmp_path / "pose", 4) / "2.pkl").unlink()
        with pytest.raises(DriverError, match=r"2\.pkl is missing"):
            read_v1_folder(tmp_path / "pose")

    @pytest.mark.parametrize(("name", "words"), [("last.pkl", "frame number"), ("01.pkl", "same frame")])
    def test_odd_names_are_named(self, tmp_path: Path, name: str, words: str) -> None:
        (v1_folder(tmp_path / "pose") / name).write_bytes(b"")
        with pytest.raises(DriverError, match=words):
            read_v1_folder(tmp_path / "pose")

    def test_empty_and_mixed_folders(self, tmp_path: Path) -> None:
        with pytest.raises(DriverError, match=r"no \.pkl or \.npy"):
            read_motion(tmp_path)
        v1_folder(tmp_path)
        (tmp_path / "0.npy").write_bytes(b"")
        with pytest.raises(DriverError, match="both"):
            read_motion(tmp_path)

    @pytest.mark.parametrize(
        "value",
        [
            np.zeros((468, 3)),
            np.full((478, 3), np.inf),
            {"a": 1},
            np.array(["x"]),
            np.array([{}], dtype=object),
            b"abc",
        ],
    )
    def test_v1_files_of_other_things(self, tmp_path: Path, value: object) -> None:
        (tmp_path / "0.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(DriverError, match=r"0\.pkl"):
            read_v1_folder(tmp_path)

    @pytest.mark.parametrize(
        "changes",
        [
            {"hands": np.zeros((2, 20, 2))},
            {"hands": "none"},
            {"bodies": np.zeros(3)},
            {"hands_score": np.full((2, 21), np.nan)},
            {"draw_pose_params": [768, 768]},
            {"draw_pose_params": 768},
            {"draw_pose_params": [0, 768, 0, 768, 0, 768]},
            {"draw_pose_params": ["a"] * 6},
        ],
    )
    def test_v2_files_of_other_things(self, tmp_path: Path, changes: dict[str, object]) -> None:
        (tmp_path / "0.npy").write_bytes(npy_of(v2_frame(**changes)))
        with pytest.raises(DriverError, match=r"0\.npy"):
            read_v2_folder(tmp_path)

    def test_plain_npy_arrays_are_no_v2_pose(self, tmp_path: Path) -> None:
        np.save(tmp_path / "0.npy", np.zeros((2, 21, 2)))
        with pytest.raises(DriverError, match="dictionary was expected"):
            read_v2_folder(tmp_path)

    def test_pictures_of_different_size(self, tmp_path: Path) -> None:
        (tmp_path / "0.npy").write_bytes(npy_of(v2_frame()))
        (tmp_path / "1.npy").write_bytes(npy_of(v2_frame(draw_pose_params=[512, 512, 0, 512, 0, 512])))
        with pytest.raises(DriverError, match=r"1\.npy"):
            read_v2_folder(tmp_path)


class Bomb:
    """Pickles to a call of `os.mkdir`."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.target,)


class TestNothingRuns:
    @pytest.mark.parametrize(
        "wrap", [lambda b: b, lambda b: [b], lambda b: {"a": b}, lambda b: np.array([b], dtype=object)]
    )
    def test_a_call_is_refused_by_name(self, tmp_path: Path, wrap: Callable[[object], object]) -> None:
        bomb = wrap(Bomb(tmp_path / "ran"))
        (tmp_path / "0.pkl").write_bytes(pickle.dumps(bomb))
        (tmp_path / "0.npy").write_bytes(npy_of(bomb))
        for read, name in ((read_v1_file, "0.pkl"), (read_v2_file, "0.npy")):
            with pytest.raises(DriverError, match=r"mkdir.*no use"):
                read(tmp_path / name)
        assert not (tmp_path / "ran").exists()

    def test_persistent_ids_and_extensions_are_refused(self) -> None:
        for program in (b"\x80\x02Pid\n.", b"\x80\x02\x82\x01.", b"(S'x'\nios\nsystem\n."):
            with pytest.raises(PlainPickleError):
                read_plain(program)

    def test_memory_is_not_taken_on_a_files_word(self, tmp_path: Path) -> None:
        claims = (
            b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
            b"\x80\x02Nr" + struct.pack("<I", (1 << 31) - 1) + b".",
            pickle.dumps(np.zeros(4)).replace(b"K\x04", b"K\xff"),
        )
        for claim in claims:
            (tmp_path / "0.pkl").write_bytes(claim)
            with pytest.raises(DriverError, match=r"0\.pkl"):
                read_v1_file(tmp_path / "0.pkl")

    def test_a_structure_that_contains_itself(self) -> None:
        loop: list[object] = []
        loop.append(loop)
        assert isinstance(read_plain(pickle.dumps(loop)), list)
        laughs = b"\x80\x02" + b"(" + b"N" + b"".join(b"2\x86" for _ in range(90)) + b"t."
        read_plain(laughs)

    @settings(max_examples=300, deadline=None)
    @given(program=st.binary(max_size=120))
    def test_any_bytes_give_a_value_or_a_named_fault(self, program: bytes) -> None:
        with contextlib.suppress(PlainPickleError):
            read_plain(b"\x80\x04" + program)

    @settings(max_examples=200, deadline=None)
    @given(data=st.data(), kind=st.sampled_from(["pkl", "npy"]))
    def test_damaged_files_are_named(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
    ) -> None:
        good = pickle.dumps(portrait().astype(np.float64)) if kind == "pkl" else npy_of(v2_frame())
        broken = bytearray(good)
        for _ in range(data.draw(st.integers(1, 5))):
            # The beginning holds the structure, the rest the numbers.
            broken[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
        path = tmp_path_factory.getbasetemp() / f"0.{kind}"
        path.write_bytes(bytes(broken))
        fault = fault_of(lambda: (read_v1_file if kind == "pkl" else read_v2_file)(path))
        assert fault is None or (f"0.{kind}" in fault and "\n" not in fault)
