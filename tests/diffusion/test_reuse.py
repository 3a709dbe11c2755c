"""What steps take over from each other: whole steps are whole, and the rest is what it says."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from echomimic.diffusion import engine as engines
from echomimic.diffusion import reuse
from echomimic.diffusion.batching import WindowBatch
from echomimic.diffusion.engine import DiffusionEngine
from echomimic.diffusion.guidance import Predictor
from echomimic.diffusion.loop import clamp_noise, denoise
from echomimic.diffusion.reuse import CONDITIONAL_SHARE, SHALLOW_SHARE, SPEEDS, Speed, StepReuse
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import (
    WindowPlan,
    WindowsFunction,
    cycle_of,
    fewest_open_windows,
    open_windows,
    uniform_windows,
)
from echomimic.models.attention import ReferenceKV
from echomimic.models.unet import DeepFeatures, ResBlock, UNet, UNetConfig
from echomimic.models.vae import decode
from tests.diffusion.conftest import Make
from tests.diffusion.test_crew import latents, shared
from tests.diffusion.test_engine import Reporter, after_step
from tests.parity.test_loop import Loop

Engines = Callable[[str], DiffusionEngine]
EVERY_SECOND = Speed(wholes=1000, least=2, layers=1)


def called(net: UNet, frames: int, side: int, plain: int, deep: DeepFeatures | None = None) -> Tensor:
    """One forward of a net with everything it can be given."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        where = net.conv_in.weight
        return torch.randn(shape, generator=generator).to(where.device, where.dtype)

    hidden_states = {}
    for name, block in net.spatial_transformers():
        stage = 3 if name.startswith("mid") else int(name.split(".")[1])
        level = 3 - stage if name.startswith("up") else stage
        hidden_states[name] = drawn(1, (side // 2**level) ** 2, block.proj_in.in_channels)
    found: Tensor = net(
        drawn((1 + plain) * frames, 4, side, side),
        torch.full((), 499, device=net.conv_in.weight.device),
        frames=frames,
        audio=drawn(frames, 50, 384),
        guide=drawn(1, net.config.channels[0], side, side),
        reference=net.project_reference(hidden_states),
        unconditional=plain,
        deep=deep,
    )
    return found


@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.inference_mode()
def test_deep_features_stand_for_the_layers_that_made_them(layers: int) -> None:
    torch.manual_seed(0)
    net = UNet(UNetConfig(channels=(32, 64, 64, 64))).eval()
    blocks: list[str] = []
    for name, block in net.named_modules():
        if isinstance(block, ResBlock):
            block.register_forward_hook(lambda *_, name=name: blocks.append(name))
    exact, deep = called(net, 3, 16, 1), DeepFeatures(layers)
    assert torch.equal(called(net, 3, 16, 1, deep), exact)
    assert deep.value is not None
    assert deep.value.shape == (6, net.config.deep_channels(layers), 16, 16)
    before = deep.value.clone()
    blocks.clear()
    for _ in range(2):
        assert torch.equal(called(net, 3, 16, 1, deep), exact)
        assert torch.equal(deep.value, before), "what is taken over is not written on"
    assert len(set(blocks)) == 2 * layers - 1


def test_whole_steps_are_as_many_as_promised_and_the_ends_are_among_them() -> None:
    assert Speed(wholes=15).whole_steps(30) == [*range(0, 30, 2), 29]
    assert Speed(wholes=15).whole_steps(6) == list(range(6))
    assert Speed(wholes=15, least=2).whole_steps(6) == [0, 2, 4, 5]
    assert Speed(wholes=15).whole_steps(100) == [*range(0, 100, 7), 99]
    assert all(Speed(wholes=8, least=2).whole_steps(n)[0] == 0 for n in range(1, 101))


def test_fast_is_whole_in_the_middle_where_windows_take_long_to_come_back() -> None:
    fast = SPEEDS["fast"]
    assert fast.of(3).whole_steps(30) == [*range(0, 30, 2), 29]
    assert fast.of(9).whole_steps(30) == [0, 2, 4, *range(6, 25), 26, 28, 29]
    assert fast.of(9).whole_steps(60) == [0, 4, 8, *range(12, 49, 2), 52, 56, 59]
    assert fast.of(9).whole_steps(6) == list(range(6))
    assert [fast.of(9).whole_steps(n) for n in (1, 2)] == [[0], [0, 1]]
    assert fast.of(9).work(30, guided=True) == pytest.approx(0.84, abs=0.005)


@pytest.mark.parametrize(
    ("windows", "frames", "rotation", "cycle"),
    [
        (uniform_windows, 48, 2, 9),
        (uniform_windows, 48, 3, 3),
        (uniform_windows, 12, 2, 6),
        (uniform_windows, 6, 2, 3),
        (open_windows, 48, 2, 9),
        (open_windows, 12, 2, 1),
    ],
)
def test_windows_come_back(windows: WindowsFunction, frames: int, rotation: int, cycle: int) -> None:
    plan = WindowPlan(frames, rotation=rotation)
    assert cycle_of(windows, plan) == cycle
    seen = [{window.frames for window in windows(plan, step)} for step in range(cycle + 1)]
    assert [step for step, some in enumerate(seen) if len(seen[0] & some) > len(seen[0]) / 2] == [0, cycle]


def test_windows_that_stand_are_in_turn_those_of_every_step() -> None:
    """Of six places every second would be seen with windows of even steps only."""
    plan = WindowPlan(12, rotation=2)
    handed = StepReuse(EVERY_SECOND, 30, functools.partial(uniform_windows, plan), 1, cycle=6)
    seen = [handed.windows(step)[0].frames[0] for step in range(12)]
    assert seen == [0, 0, 4, 4, 8, 8, 2, 2, 6, 6, 10, 10]


class Told:
    """A denoiser that remembers how it was called; its velocity and features are numbers to recognise."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, bool | None]] = []

    def __call__(
        self, x: Tensor, t: Tensor, *, unconditional: int = 0, deep: DeepFeatures | None = None, **_: Any
    ) -> Tensor:
        taken = None if deep is None else deep.value is not None
        self.calls.append((len(x), unconditional, taken))
        if deep is not None and deep.value is None:
            deep.value = torch.arange(len(x), dtype=torch.float32)[:, None, None, None].expand(-1, 32, 2, 2)
        return x + torch.arange(len(x))[:, None, None, None]


def predicting(net: Told, cfg: float, handed: StepReuse) -> Predictor:
    def rows(frames: Sequence[int]) -> Tensor:
        return torch.zeros(len(frames), 1, 1)

    return Predictor(net, ReferenceKV({}), rows, rows, cfg, torch.device("cpu"), torch.float32, None, handed)


def handing(speed: Speed, steps: int, frames: int = 6, size: int = 3) -> StepReuse:
    plan = WindowPlan(frames, size, 0, 1)
    return StepReuse(speed, steps, lambda step: uniform_windows(plan, step), window_bytes=1)


def test_between_whole_steps_there_is_no_unconditional_half_and_no_deep_layer() -> None:
    net, handed, x = Told(), handing(Speed(wholes=1, deep=2), 5), torch.zeros(3, 4, 2, 2)
    predict = predicting(net, 2.5, handed)
    for step in range(5):
        for window in handed.windows(step):
            found = predict(x, 0, window.frames)
            own = torch.arange(3.0)[:, None, None, None].expand_as(x)
            expected = own + 2.5 * 3 if step in (0, 4) else own + 1.5 * 3
            assert torch.equal(found, expected)
    whole, anew, shallow = (6, 1, False), (3, 0, False), (3, 0, True)
    assert net.calls == [whole] * 2 + [shallow] * 2 + [anew] * 2 + [shallow] * 2 + [whole] * 2


@pytest.mark.parametrize("cfg", [1.0, 2.5])
def test_windows_that_are_predicted_together_hand_on_the_same(cfg: float) -> None:
    torch.manual_seed(0)
    net = UNet(UNetConfig(channels=(32, 32, 32, 32), layers=1)).eval().requires_grad_(False)
    hidden_states = {name: torch.randn(1, 16, 32) for name, _ in net.spatial_transformers()}
    audio, start = torch.randn(6, 50, 384), torch.randn(6, 4, 4, 4)

    def last(at_once: int) -> Tensor:
        handed, batch = handing(EVERY_SECOND, 4), WindowBatch(3, at_once)
        predict = Predictor(
            net,
            net.project_reference(hidden_states),
            audio=lambda frames: audio[list(frames)],
            guide=lambda _: torch.zeros(1, 32, 4, 4),
            cfg=cfg,
            device=torch.device("cpu"),
            dtype=torch.float32,
            batch=batch,
            reuse=handed,
        )
        *_, state = denoise(start.clone(), Sampler("ddim", 4), predict, handed.windows, batch=batch)
        return state.latents

    one, two = last(1), last(2)
    assert float((two - one).abs().max()) < 1e-3 * float(one.abs().max())


def test_features_beyond_the_limit_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "FEATURES_AT_MOST", 1)
    net, handed = Told(), handing(EVERY_SECOND, 3)
    predict = predicting(net, 2.5, handed)
    for step in range(2):
        for window in handed.windows(step):
            predict(torch.zeros(3, 4, 2, 2), 0, window.frames)
    assert net.calls == [(6, 1, False), (6, 1, None), (3, 0, True), (3, 0, None)]


@pytest.mark.slow
def test_shares_of_the_work_are_those_of_the_net() -> None:
    with torch.device("meta"):
        net = UNet().eval()

    def work(plain: int, deep: DeepFeatures | None = None) -> int:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            called(net, 4, 64, plain, deep)
        return int(counter.get_total_flops())

    whole = work(0)
    assert whole / work(1) == pytest.approx(CONDITIONAL_SHARE, abs=0.005)
    deep = DeepFeatures(1)
    work(0, deep)
    assert work(0, deep) / whole == pytest.approx(SHALLOW_SHARE[1], abs=0.005)
    fast = SPEEDS["fast"].of(3)
    assert fast.work(6, guided=False) == 1
    assert 0.5 < fast.work(30, guided=True) < fast.work(30, guided=False) < 0.6


@pytest.mark.parametrize("frames", [5, 12, 13, 21, 48, 50])
def test_fewest_windows_cover_every_frame_and_are_never_more(frames: int) -> None:
    plan = WindowPlan(frames)
    for step in range(12):
        few, usual = fewest_open_windows(plan, step), open_windows(plan, step)
        weight = np.zeros(frames)
        for window in few:
            np.add.at(weight, list(window.frames), window.weights)
        assert weight.min() > 0
        assert len(few) == max(1, math.ceil((frames - 12) / 9) + 1) <= len(usual)


def render(engine: DiffusionEngine, conditions: Any, report: Any = lambda _: None) -> np.ndarray:
    return np.stack(list(engine.frames(conditions, report)))


@pytest.fixture
def every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SPEEDS", {"fast": EVERY_SECOND})


@pytest.mark.slow
@pytest.mark.usefixtures("every_second")
@pytest.mark.parametrize("model", ["v1", "v1-acc", "v1-pose", "v1-pose-acc", "v2", "v2-acc"])
def test_every_variant_says_its_speed_once_and_is_the_same_on_two_devices(
    model: str, make: Make, engine: Engines
) -> None:
    conditions, report = make(model, frames=5, steps=3, speed="fast"), Reporter()
    one = engine(model)
    found = one._latents(one._job(conditions, report))
    work = EVERY_SECOND.work(3, (conditions.settings.cfg or 0) > 1)
    assert [note for note in report.notes if note.startswith("speed")] == [
        f"speed fast: 2 of 3 steps are computed in full, {work:.0%} of the work; "
        "the video is nearly that of speed exact"
    ]
    assert torch.equal(found, latents(shared(one, 2), conditions))
    if model in ("v1", "v1-acc"):
        assert not torch.equal(found, latents(one, make(model, frames=5, steps=3)))


@pytest.mark.slow
@pytest.mark.usefixtures("every_second")
def test_an_interrupted_fast_run_goes_on_from_a_whole_step_bit_identically(
    make: Make, engine: Engines, tmp_path: Path
) -> None:
    options = {"steps": 5, "speed": "fast", "output": tmp_path / "out.mp4"}
    whole = render(engine("v1"), make("v1", **options | {"output": None}))
    with pytest.raises(KeyboardInterrupt, match="stopped after step 2; the same command goes on from there"):
        render(engine("v1"), make("v1", **options), Reporter(after_step(3)))
    report = Reporter()
    assert np.array_equal(render(engine("v1"), make("v1", **options), report), whole)
    assert report.notes[0] == "going on after step 2 of 5"
    other = Reporter()
    render(engine("v1"), make("v1", **options | {"speed": "exact"}), other)
    assert other.notes[0] == "the unfinished run was made with another speed; starting anew"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frames"), [("v1_loop_audio", 6), ("v1_loop_audio", 14), ("v2_loop_base", 14)]
)
def test_fast_stays_near_exact_on_a_small_loop(name: str, frames: int) -> None:
    """One and two windows of the recorded nets, 30 guided steps; docs/performance.md has the figures."""
    loop = Loop(name, cfg=2.5)
    small = {key: loop.given[key][..., :64, :64] for key in ("mask", "pose") if key in loop.given}
    loop.given = dict(loop.given) | {"image": loop.given["image"][:64, :64]} | small
    predictor, plan = loop._predictor(name), WindowPlan(frames, rotation=loop.rules.rotation)
    noise = clamp_noise(loop.given["init_noise"][0, :, :frames, :8, :8].transpose(0, 1), loop.rules)

    def pictures(handed: StepReuse | None) -> np.ndarray:
        predict = dataclasses.replace(predictor, reuse=handed)
        windows = functools.partial(uniform_windows, plan) if handed is None else handed.windows
        *_, state = denoise(noise.clone(), Sampler("ddim", 30), predict, windows)
        return (decode(loop.vae, state.latents).clamp(0, 1) * 255).to(torch.uint8).numpy().astype(float)

    exact, cycle = pictures(None), cycle_of(uniform_windows, plan)
    speed = SPEEDS["fast"].of(cycle)
    fast = pictures(StepReuse(speed, 30, functools.partial(uniform_windows, plan), 1, cycle=cycle))
    assert 20 * math.log10(255 / float(np.sqrt(((fast - exact) ** 2).mean()))) >= 35
