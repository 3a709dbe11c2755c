"""Opening files of tensors: good ones in every form, bad ones with a clear refusal and never a traceback."""

import os
import pickle
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from echomimic.errors import WeightsError
from echomimic.models import weight_file as checkpoint
from echomimic.models.weight_file import Checkpoint, Spec, damage

STATE = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(5, dtype=torch.float16)}
SPECS = {"a": Spec((3, 4), torch.float32), "b": Spec((5,), torch.float16)}


class Hostile:
    """Unpickles by running a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def saved(path: Path, form: str = "zip") -> Path:
    if form == "safetensors":
        save_file(STATE, path)
    elif form == "whisper":
        torch.save({"dims": {"n_mels": 80}, "model_state_dict": STATE}, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=form == "zip")
    return path


@pytest.mark.parametrize("form", ["zip", "legacy", "whisper", "safetensors"])
def test_every_form_of_file_reads_alike(tmp_path: Path, form: str) -> None:
    file = Checkpoint(saved(tmp_path / ("x.safetensors" if form == "safetensors" else "x.pth"), form))
    assert file.specs == SPECS
    read = dict(file.tensors(["a", "b"], torch.bfloat16))
    assert {t.dtype for t in read.values()} == {torch.bfloat16}
    assert torch.equal(read["a"], STATE["a"].bfloat16())
    assert dict(file.tensors(["b"]))["b"].dtype == torch.float16


def test_renewing_the_mapping_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "READ_WINDOW", 1)
    state = {str(i): torch.full((100,), float(i)) for i in range(20)}
    torch.save(state, tmp_path / "x.pth")
    read = dict(Checkpoint(tmp_path / "x.pth").tensors(state, torch.float64))
    assert all(torch.equal(read[key], state[key].double()) for key in state)


def test_parameters_lose_their_gradients(tmp_path: Path) -> None:
    torch.save({"a": torch.nn.Parameter(STATE["a"])}, tmp_path / "x.pth")
    for dtype in (None, torch.float16):
        tensor = dict(Checkpoint(tmp_path / "x.pth").tensors(["a"], dtype))["a"]
        assert tensor.is_leaf
        assert not tensor.requires_grad


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what is mapped")
@pytest.mark.parametrize("form", ["zip", "safetensors"])
def test_what_needs_no_cast_stays_in_the_file(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path / ("x.safetensors" if form == "safetensors" else "x.pth"), form)
    tensors = dict(Checkpoint(path).tensors(["a", "b"]))
    mapped = [
        line.split()[0].split("-")
        for line in Path("/proc/self/maps").read_text().splitlines()
        if str(path) in line
    ]
    spans = [(int(start, 16), int(stop, 16)) for start, stop in mapped]
    assert all(any(start <= t.data_ptr() < stop for start, stop in spans) for t in tensors.values())


def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    torch.save({"a": torch.zeros(1), "b": Hostile(f"touch {trace}")}, tmp_path / "zip.pth")
    torch.save(
        {"b": Hostile(f"touch {trace}")}, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False
    )
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile(f"touch {trace}"), protocol=4))
    for name in ("zip.pth", "legacy.pth", "plain.pth"):
        with pytest.raises(
            WeightsError, match=f"{name} holds more than tensors and could run code"
        ) as caught:
            Checkpoint(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_tar_of_the_oldest_torch_is_refused_before_torch_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch was asked"))
    for first, says in (("storages", "is no checkpoint"), ("PK", "tar archive"), ("\x80\x02", "tar archive")):
        with tarfile.open(tmp_path / "x.pth", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
            for name in (first, "storages", "tensors", "pickle"):
                archive.addfile(tarfile.TarInfo(name))
        with pytest.raises(WeightsError, match=rf"x\.pth .*{says}"):
            Checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_files_cut_short_are_named(tmp_path: Path, form: str, kept: float) -> None:
    path = saved(tmp_path / ("x.safetensors" if form == "safetensors" else "x.pth"), form)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(WeightsError, match=rf"{path.name} is cut short or damaged .*; download it again"):
        Checkpoint(path)


def test_an_archive_whose_end_speaks_of_other_disks_is_named(tmp_path: Path) -> None:
    """Python's own check of a zip file raises for this instead of saying no."""
    path = saved(tmp_path / "x.pth", "zip")
    whole = path.read_bytes()
    disks = whole.rindex(b"PK\x06\x07") + 16
    path.write_bytes(whole[:disks] + b"\x07" + whole[disks + 1 :])
    assert damage(path) is None
    with pytest.raises(WeightsError, match=r"x\.pth is cut short or damaged .*; download it again"):
        Checkpoint(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"no checkpoint at all", "is no checkpoint"),
    ],
)
def test_files_that_are_something_else_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        Checkpoint(tmp_path / "x.pth")


def test_missing_file_and_things_without_names(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read .*x\.pth"):
        Checkpoint(tmp_path / "x.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds no named tensors"):
        Checkpoint(tmp_path / "list.pth")
    torch.save({"step": 3, "a": torch.zeros(1)}, tmp_path / "mixed.pth")
    with pytest.raises(WeightsError, match="holds 'step', which is no tensor"):
        Checkpoint(tmp_path / "mixed.pth")


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth")
    assert damage(path) is None
    content = bytearray(path.read_bytes())
    content[content.index(STATE["a"].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert "does not match its checksum" in str(damage(path))
