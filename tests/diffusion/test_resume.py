"""The state of an unfinished run: whole or not at all, for exactly one job, removed in the end."""

from pathlib import Path

import pytest
import torch

from echomimic.diffusion.resume import ResumeFile, Saved, forget, job_of, path_beside
from tests.diffusion.conftest import Make

STATE = Saved(3, torch.randn(2, 4, 8, 8), {"order": 2, "outputs": [None, torch.ones(3)], "last": torch.zeros(2)})


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = path_beside(tmp_path / "out.mp4")
    assert ResumeFile(path, {"seed": "1"}).load() is None
    assert ResumeFile(path, {"seed": "1"}).save(STATE)
    found = ResumeFile(path, {"seed": "1"}).load()
    assert found is not None
    assert found.done == 3
    assert torch.equal(found.latents, STATE.latents)
    assert found.scheduler["order"] == 2
    assert found.scheduler["outputs"][0] is None
    assert torch.equal(found.scheduler["outputs"][1], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == [".out.mp4.resume.safetensors"]


def test_another_job_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state"
    ResumeFile(path, {"seed": "1", "steps": "4", "speech": "a"}).save(STATE)
    other = ResumeFile(path, {"seed": "2", "steps": "4", "speech": "b"})
    assert other.load() is None
    assert other.remark == "the unfinished run was made with another seed, speech; starting anew"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 64])
def test_damage_is_no_obstacle(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    file = ResumeFile(path, {})
    assert file.load() is None
    assert "starting anew" in file.remark


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    file = ResumeFile(tmp_path / "gone" / "state", {})
    assert not file.save(STATE)
    assert "would start anew" in file.remark


def test_forgetting_takes_everything(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    ResumeFile(path_beside(output), {}).save(STATE)
    (tmp_path / ".out.mp4.resume.safetensors.part").write_bytes(b"killed while writing")
    forget(output)
    forget(output)
    forget(None)
    assert not list(tmp_path.iterdir())


def test_the_job_changes_with_everything_that_changes_latents(make: Make) -> None:
    job = job_of(make(), "guide", weights="w")
    assert job == job_of(make(offload="model", resume=False), "guide", weights="w")
    for options in ({"seed": 9}, {"steps": 3}, {"frames": 7}, {"fps": 12.0}, {"facecrop_ratio": 0.5}, {"width": 192}):
        assert job != job_of(make(**options), "guide", weights="w")
    assert job != job_of(make(), "another guide", weights="w")
    assert job != job_of(make(), "guide", weights="v")
