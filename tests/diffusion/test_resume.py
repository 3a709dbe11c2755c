"""The state of an unfinished run: whole or not at all, for exactly one job, removed in the end."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from echomimic.conditions import Conditions
from echomimic.diffusion.resume import (
    NAMED_OTHERWISE,
    NOT_PART_OF_THE_JOB,
    ResumeFile,
    Saved,
    forget,
    job_of,
)
from echomimic.media.audio import Speech
from echomimic.media.output import part_of, state_of
from echomimic.option import Option, options
from echomimic.request import Settings
from tests.diffusion.conftest import Make

STATE = Saved(
    3, torch.randn(2, 4, 8, 8), {"order": 2, "outputs": [None, torch.ones(3)], "last": torch.zeros(2)}
)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = state_of(tmp_path / "out.mp4")
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
    told: list[str] = []
    other = ResumeFile(path, {"seed": "2", "steps": "4", "speech": "b"}, told.append)
    assert other.load() is None
    assert told == ["the unfinished run was made with another seed, speech; starting anew"]


def headed(job: str) -> bytes:
    """A state whose header is not ours."""
    return save({"latents": torch.zeros(2)}, {"job": job, "checksum": '""', "done": "1"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"\x02\0\0\0\0\0\0\0{}",
        b"\xff" * 64,
        headed("[]"),
        headed("1"),
        headed("[" * 100_000),
    ],
    ids=range(7),
)
def test_damage_is_no_obstacle(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    told: list[str] = []
    file = ResumeFile(path, {}, told.append)
    assert file.load() is None
    assert "starting anew" in told[0]


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    file = ResumeFile(tmp_path / "gone" / "state", {}, told.append)
    assert not file.save(STATE)
    assert "would start anew" in told[0]


def test_forgetting_takes_everything(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    ResumeFile(state_of(output), {}).save(STATE)
    part_of(state_of(output)).write_bytes(b"killed while writing")
    forget(output)
    forget(output)
    forget(None)
    assert not list(tmp_path.iterdir())


def test_the_job_changes_with_everything_that_changes_latents(make: Make) -> None:
    job = job_of(make(), "guide", weights="w")
    assert job == job_of(make(offload="model", resume=False), "guide", weights="w")
    for changed in (
        {"seed": 9},
        {"steps": 3},
        {"frames": 7},
        {"fps": 12.0},
        {"facecrop_ratio": 0.5},
        {"width": 192},
    ):
        assert job != job_of(make(**changed), "guide", weights="w")
    assert job != job_of(make(), "another guide", weights="w")
    assert job != job_of(make(), "guide", weights="v")


def another(option: Option, value: Any) -> Any:
    """A value of the option other than ``value``."""
    if option.choices:
        return next(choice for choice in option.choices if choice != value)
    if option.type is bool:
        return not value
    if option.type in (int, float):
        return option.low if value != option.low else option.high
    return option.type("another")


@pytest.mark.parametrize("option", options(Settings), ids=lambda option: option.name)
def test_every_option_is_part_of_the_job_or_left_out_by_name(option: Option, make: Make) -> None:
    """The fields themselves are asked, so an option that is added later is part of the job by itself."""
    before = make()
    changed = dataclasses.replace(before)
    settings = dataclasses.replace(before.settings)
    object.__setattr__(settings, option.name, another(option, getattr(settings, option.name)))
    object.__setattr__(changed, "settings", settings)
    same = job_of(before, "guide") == job_of(changed, "guide")
    assert same == (option.name in NOT_PART_OF_THE_JOB)


@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(Conditions) if f.name not in NAMED_OTHERWISE]
)
def test_every_condition_is_part_of_the_job(name: str, make: Make) -> None:
    """The smallest change of each: among them the chosen face, which moves nothing else of a V2 job."""
    before = make("v2")
    value = getattr(before, name)
    if isinstance(value, np.ndarray):
        value = value.copy()
        value[0, 0, 0] ^= 1
    elif isinstance(value, Speech):
        value = Speech.from_array(value.read(0, value.samples) * np.float32(0.999), 16_000)
    elif dataclasses.is_dataclass(value):
        field = dataclasses.fields(value)[0].name
        value = dataclasses.replace(value, **{field: getattr(value, field) + 1})  # type: ignore[type-var]
    else:
        value += 1
    assert job_of(before, "guide") != job_of(dataclasses.replace(before, **{name: value}), "guide")


def test_a_flipped_bit_anywhere_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "state"
    ResumeFile(path, {"seed": "1"}).save(STATE)
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little") + 8
    for at in (header, header + 700, len(whole) - 1, whole.index(b"done") + 8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        told: list[str] = []
        file = ResumeFile(path, {"seed": "1"}, told.append)
        assert file.load() is None
        assert "starting anew" in told[0]
