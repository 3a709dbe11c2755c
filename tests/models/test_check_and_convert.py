"""Judging folders of weights, and converting them: named faults, nothing half written."""

import errno
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from echomimic.errors import OutputError, WeightsError
from echomimic.media.output import part_of
from echomimic.models import layouts, weights
from echomimic.models.check import check
from echomimic.models.convert import convert
from echomimic.models.layouts import CARD
from echomimic.progress import Progress
from tests import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """V1 (audio and pose) and V2 in one folder."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.write(folder / "v1", "v1", acc=False, pose=False)
    tiny.write(folder / "v2", "v2")
    return folder


@pytest.fixture
def copy(both: Path, tmp_path: Path) -> Path:
    """V2 to be broken."""
    return Path(shutil.copytree(both / "v2", tmp_path / "v2"))


def test_a_good_folder(both: Path) -> None:
    seen: list[Progress] = []
    findings = check(both, seen.append)
    assert [finding for finding in findings if finding.bad] == []
    by_name = {(f.path.parent.name, f.path.name): f for f in findings}
    assert by_name["v1", "face_locator.pth"].models == ("v1",)
    assert by_name["v2", "pose_encoder.pth"].models == ("v2", "v2-acc")
    assert by_name["v2", "denoising_unet.pth"].text == "686 tensors, float32"
    assert seen[-1].done == seen[-1].total > 0


def test_every_fault_is_named(copy: Path) -> None:
    for name in ("denoising_unet.pth", "reference_unet.pth"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-100])
    (copy / "motion_module_acc.pth").unlink()
    (copy / "audio_processor" / "tiny.pt").write_bytes(b"<html>")
    state = torch.load(copy / "pose_encoder.pth", weights_only=True)
    del state["conv_out.bias"]
    state |= {
        "extra": torch.zeros(1),
        "conv_in.weight": torch.zeros(16, 1, 3, 3),
        "conv_in.bias": torch.zeros(16).int(),
    }
    torch.save(state, copy / "pose_encoder.pth")
    found = {(f.path.name, f.kind): f for f in check(copy)}
    assert {key for key, finding in found.items() if finding.bad} == {
        ("denoising_unet.pth", "damaged"),
        ("reference_unet.pth", "damaged"),
        ("motion_module_acc.pth", "missing"),
        ("tiny.pt", "damaged"),
        ("pose_encoder.pth", "missing"),
        ("pose_encoder.pth", "unexpected"),
        ("pose_encoder.pth", "shape"),
        ("pose_encoder.pth", "dtype"),
    }
    assert found["motion_module_acc.pth", "missing"].models == ("v2-acc",)
    assert found["reference_unet.pth", "damaged"].models == ("v2", "v2-acc")
    assert "cut short" in found["denoising_unet.pth", "damaged"].text
    assert (
        found["pose_encoder.pth", "shape"].text
        == "does not fit: conv_in.weight is (16, 1, 3, 3), expected (16, 3, 3, 3)"
    )
    assert found["pose_encoder.pth", "unexpected"].text == "holds unknown extra"


def test_a_flipped_byte_is_found_by_reading_everything(copy: Path) -> None:
    path = copy / "reference_unet.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [f.path.name for f in check(copy) if f.bad] == ["reference_unet.pth"]
    assert not any(f.bad for f in check(copy, thorough=False))


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no EchoMimic weights"):
        check(tmp_path)
    with pytest.raises(WeightsError, match="does not exist"):
        check(tmp_path / "nope")


def test_converted_weights_are_the_same_weights(both: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    written = convert(both, tmp_path / "out", ("v1", "v2"), torch.float32, report=seen.append)
    assert seen[-1].done == seen[-1].total <= sum(file.bytes for file in written) >> 20
    assert not [finding for finding in check(tmp_path / "out") if finding.bad]
    for variant in ("v1", "v2"):
        before = weights.load_networks(layouts.find(variant, both), None)
        after = weights.load_networks(layouts.find(variant, tmp_path / "out"), None)
        for name, net in vars(before).items():
            state = vars(after)[name].state_dict()
            assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())


def test_half_precision_is_the_default_and_is_checked(both: Path, tmp_path: Path) -> None:
    out = tmp_path / "half"
    convert(both, out, ("v2",))
    files = layouts.find("v2", out)
    assert {value.dtype for value in weights.load_network("vae", files, None).state_dict().values()} == {
        torch.float16
    }
    assert json.loads((out / CARD).read_text())["dtype"] == "float16"
    convert(out, tmp_path / "again", dtype=torch.bfloat16)
    card = json.loads((out / CARD).read_text())
    (out / CARD).write_text(json.dumps(card | {"dtype": "bfloat16"}))
    assert {finding.kind for finding in check(out)} == {"dtype"}
    whole = files.paths["guider"].read_bytes()
    files.paths["guider"].write_bytes(whole[:-10])
    assert [f.path.name for f in check(out) if f.kind == "damaged"] == ["pose_encoder.safetensors"]


def test_existing_folders_are_kept(both: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(both, out, ("v2",))
    with pytest.raises(OutputError, match="exists; choose another name, or give --overwrite"):
        convert(both, out, ("v2",))
    (out / "v2" / "left over").touch()
    convert(both, out, ("v2",), overwrite=True)
    assert not (out / "v2" / "left over").exists()
    other = tmp_path / "photos"
    other.mkdir()
    (other / "me.jpg").touch()
    with pytest.raises(OutputError, match="was not written by this command"):
        convert(both, other, overwrite=True)
    with pytest.raises(OutputError, match="is an input too"):
        convert(out, out, overwrite=True)
    with pytest.raises(OutputError, match="choose float16, bfloat16 or float32"):
        convert(both, tmp_path / "x", dtype=torch.int8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_damaged_weights_are_not_converted(copy: Path, tmp_path: Path) -> None:
    (copy / "reference_unet.pth").write_bytes(b"PK")
    with pytest.raises(WeightsError, match=r"reference_unet\.pth is cut short"):
        convert(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["v2"]


@pytest.mark.parametrize("how", ["link", "files"])
def test_what_is_read_is_never_replaced(copy: Path, tmp_path: Path, how: str) -> None:
    (out := tmp_path / "out").mkdir()
    (out / CARD).write_text("{}")
    if how == "link":
        out = tmp_path / "other"
        out.symlink_to(copy)
    else:  # the weights themselves lie in the folder that is to be replaced
        for path in copy.iterdir():
            shutil.move(path, out / path.name)
            (copy / path.name).symlink_to(out / path.name)
    before = sorted(p.name for p in out.iterdir())
    with pytest.raises(OutputError, match="inputs are never replaced"):
        convert(copy, out, overwrite=True)
    assert sorted(p.name for p in out.iterdir()) == before


def test_what_a_killed_conversion_left_is_removed_by_the_next(both: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    part_of(out).mkdir()
    (part_of(out) / "half").touch()
    convert(both, out, ("v2",))
    assert list(tmp_path.iterdir()) == [out]


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_is_found_before_writing(
    both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 10**6))
    with pytest.raises(OutputError, match=r"needs 0\.1 GB, but its disk has 0\.0 GB left"):
        convert(both, tmp_path / "out", ("v2",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_behind(
    both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def full(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        convert(both, tmp_path / "out", ("v2",))
    assert list(tmp_path.iterdir()) == []
