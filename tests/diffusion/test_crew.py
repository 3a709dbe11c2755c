"""One video on several devices is bit for bit that of one:
all variants, overlaps, odd counts, resuming in between."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from echomimic.conditions import Conditions
from echomimic.diffusion.crew import Crew
from echomimic.diffusion.engine import DiffusionEngine, load_engine
from echomimic.diffusion.loop import denoise
from echomimic.diffusion.placement import pick_devices
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import WindowPlan, WindowsFunction, open_windows, uniform_windows
from echomimic.errors import SettingsError
from echomimic.request import Settings
from tests.diffusion.conftest import Make
from tests.diffusion.test_engine import Reporter, after_step

Engines = Callable[[str], DiffusionEngine]


def shared(engine: DiffusionEngine, count: int) -> DiffusionEngine:
    """The same engine on ``count`` devices."""
    nets = engine.nets
    return DiffusionEngine(
        nets, torch.device("cpu"), engine.settings, engine.weights_name, [nets] * (count - 1)
    )


def latents(engine: DiffusionEngine, conditions: Conditions) -> Tensor:
    return engine._latents(engine._job(conditions, lambda _: None))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("v1", marks=pytest.mark.slow),
        "v1-acc",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("v1-pose", "v1-pose-acc", "v2", "v2-acc")),
    ],
)
def test_every_variant_is_the_same_on_two_devices(model: str, make: Make, engine: Engines) -> None:
    conditions = make(model, frames=5, steps=1)
    assert torch.equal(latents(shared(engine(model), 2), conditions), latents(engine(model), conditions))


@pytest.mark.parametrize("frames", [5, 20, 31, 60])
@pytest.mark.parametrize("windows", [uniform_windows, open_windows])
def test_every_overlap_is_the_same_on_two_and_three(frames: int, windows: WindowsFunction) -> None:
    mixing = torch.randn(4, 4)

    def predict(window: Tensor, step: int, numbers: Sequence[int]) -> Tensor:
        return (
            torch.einsum("fchw,cd->fdhw", window.cumsum(0), mixing).tanh() * (1 + 0.01 * numbers[0])
            + step / 1000
        )

    def last(count: int, overlap: int) -> Tensor:
        plan, start = (
            WindowPlan(frames, 12, overlap),
            torch.randn(frames, 4, 2, 2, generator=torch.manual_seed(1)),
        )
        with Crew([predict] * count) as crew:
            *_, state = denoise(start, Sampler("ddim", 3), crew, lambda step: windows(plan, step))
        return state.latents

    for overlap in range(12):
        one = last(1, overlap)
        assert all(torch.equal(last(count, overlap), one) for count in (2, 3))


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices(make: Make, engine: Engines, tmp_path: Path) -> None:
    whole = list(engine("v1-acc").frames(make(steps=3)))
    conditions = make(steps=3, output=tmp_path / "out.mp4")
    with pytest.raises(KeyboardInterrupt):
        list(shared(engine("v1-acc"), 3).frames(conditions, Reporter(after_step(1))))
    report = Reporter()
    assert np.array_equal(list(shared(engine("v1-acc"), 2).frames(conditions, report)), whole)
    assert report.steps()[0].startswith("step 2 of 3")


@pytest.mark.slow
def test_loading_for_two_devices_makes_two_copies(
    make: Make, weights: Callable[[str], Path], engine: Engines
) -> None:
    settings = Settings(model="v1-acc", weights=weights("v1"), devices="cpu,cpu:0", dtype="fp32")
    loaded = load_engine(settings)
    assert len(loaded.others) == 1
    assert loaded.others[0].denoiser is not loaded.nets.denoiser
    conditions = make(frames=5, steps=1)
    assert torch.equal(latents(loaded, conditions), latents(engine("v1-acc"), conditions))


def test_windows_are_predicted_at_the_same_time_and_come_in_order() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def slow(window: Tensor, step: int, _: object) -> Tensor:
        meeting.wait()
        time.sleep(0.02 if step == 0 else 0)
        return window + step

    with Crew([slow, slow]) as crew:
        tasks = [(torch.zeros(1), i, [i]) for i in range(4)]
        assert [float(found) for found in crew.predictions(tasks)] == [0, 1, 2, 3]


def test_an_error_on_one_device_is_raised() -> None:
    def broken(*_: object) -> Tensor:
        raise MemoryError("full")

    with Crew([lambda window, *_: window, broken]) as crew, pytest.raises(MemoryError, match="full"):
        list(crew.predictions([(torch.zeros(1), 0, [0])] * 3))


@pytest.mark.parametrize("names", ["cuda:99", "tpu", "cpu:1", "cuda:x"])
def test_a_device_that_is_not_there_is_named(names: str) -> None:
    with pytest.raises(SettingsError, match=f"devices names {names}, which was not found here; choose"):
        pick_devices(Settings(model="v1", devices=f"cpu,{names}"))


def test_offloading_and_several_devices_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="offload model does not; set offload none"):
        pick_devices(Settings(model="v1", devices="cpu,cpu", offload="model"))
    assert pick_devices(Settings(model="v1", device="cpu")) == [torch.device("cpu")]
    assert pick_devices(Settings(model="v1", devices="all"))
