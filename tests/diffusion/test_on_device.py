"""The loop stays on the device: nothing inside a step asks for a number;
decoding keeps order in any batches."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from echomimic.diffusion import pictures
from echomimic.diffusion.captured import CapturedForward
from echomimic.diffusion.decoding import FrameDecoder
from echomimic.diffusion.guidance import Predictor
from echomimic.diffusion.loop import StepState, denoise
from echomimic.diffusion.placement import float32_products
from echomimic.diffusion.reuse import Speed, StepReuse
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import WindowPlan, open_windows, uniform_windows
from echomimic.models import vae
from echomimic.models.unet import UNet, UNetConfig
from tests.parity import fixtures

FRAMES = 20


def steps(device: str, cfg: float, speed: Speed | None = None, graphs: bool = False) -> Iterator[StepState]:
    """A loop of three windows per step on a small net, everything on ``device``."""
    with torch.device(device):
        net = UNet(UNetConfig(channels=(32, 32, 32, 32), layers=1)).eval().requires_grad_(False)
        hidden_states = {name: torch.randn(1, 16, 32) for name, _ in net.spatial_transformers()}
        latents, audio = torch.randn(FRAMES, 4, 4, 4), torch.randn(FRAMES, 50, 384)
        guide = torch.randn(1, 32, 4, 4)
    plan, handed = WindowPlan(FRAMES), None
    if speed is not None:
        handed = StepReuse(speed, 4, functools.partial(uniform_windows, plan), 1)
    recorded = CapturedForward(net, pytest.fail, lambda run: (lambda: None, run()), lambda *_: True)
    predict = Predictor(
        recorded if graphs else net,
        net.project_reference(hidden_states),
        audio=lambda frames: audio[: len(frames)],
        guide=lambda _: guide,
        cfg=cfg,
        device=torch.device(device),
        dtype=torch.float32,
        reuse=handed,
    )
    windows = functools.partial(uniform_windows, plan) if handed is None else handed.windows
    return denoise(latents, Sampler("ddim", 2 if handed is None else 4), predict, windows)


@pytest.mark.slow
@pytest.mark.parametrize("cfg", [1.0, 2.5])
def test_nor_does_a_step_that_takes_over_or_a_graph(cfg: float) -> None:
    """What is checked once per graph is left to the check, which alone may wait."""
    every_second = Speed(wholes=1000, least=2)
    for speed, graphs in ((every_second, False), (None, True), (every_second, True)):
        *_, last = steps("meta", cfg, speed, graphs)
        assert last.latents.device.type == "meta"


@pytest.mark.parametrize("cfg", [1.0, 2.5])
def test_no_step_needs_a_number_from_the_device(cfg: float) -> None:
    """Tensors without data, as they are on "meta", let nothing through that would have to wait for one."""
    seen = list(steps("meta", cfg))
    assert len(seen) == 6
    assert seen[-1].latents.device.type == "meta"
    with pytest.raises(RuntimeError, match=r"item|meta"):
        bool(seen[-1].latents.isfinite().all())


FORBIDDEN = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__")


def test_nor_asks_any_method_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    running = steps("cpu", 2.5)
    next(running)
    asked: list[str] = []
    for name in FORBIDDEN:
        before = getattr(Tensor, name)

        def watched(self: Tensor, *given: Any, before: Any = before, name: str = name, **further: Any) -> Any:
            asked.append(name)
            return before(self, *given, **further)

        monkeypatch.setattr(Tensor, name, watched)
    next(running)
    assert not asked
    torch.ones(1).item()
    assert asked == ["item"]


@pytest.mark.parametrize("overlap", [0, 3, 9])
def test_blending_is_bit_for_bit_a_plain_sum(overlap: int) -> None:
    plan, sampler, seen = WindowPlan(FRAMES, 12, overlap), Sampler("ddim", 3), torch.randn(FRAMES, 4, 2, 2)
    made = {w: torch.randn(12, 4, 2, 2) for w in open_windows(plan, 0)}
    left = iter(made.values())
    first = next(
        s
        for s in denoise(seen.clone(), sampler, lambda *_: next(left), lambda _: list(made))
        if s.clean is not None
    )
    total, weight = torch.zeros_like(seen), torch.zeros(FRAMES, 1, 1, 1)
    for window, predicted in made.items():
        for place, frame in enumerate(window.frames):
            share = torch.tensor(window.weights[place])
            total[frame] += share * predicted[place]
            weight[frame] += share
    assert first.velocity is not None
    assert torch.equal(first.velocity, total / weight)


@pytest.fixture(scope="module")
def net() -> vae.Autoencoder:
    built = vae.build_vae(fixtures.config("v1_vae", "vae"))
    built.load_state_dict(fixtures.state("v1_vae", "vae"))
    return built


@pytest.mark.parametrize("at_once", [1, 2, 3, 8])
def test_decoding_keeps_the_order_whatever_the_batches(at_once: int, net: vae.Autoencoder) -> None:
    latents, wanted = torch.randn(7, 4, 4, 5), [6, 0, 1, 2, 3]
    decoder = FrameDecoder([(net, torch.device("cpu"))])
    decoder.at_once = at_once
    found = np.stack(list(decoder.frames(latents, wanted)))
    single = np.stack([pictures.to_picture(vae.decode(net, latents[i : i + 1])) for i in wanted])
    assert np.abs(found.astype(int) - single).max() <= 1


@pytest.mark.parametrize("count", [2, 3])
def test_pictures_that_overflow_on_one_of_several_devices_are_those_of_one_device(
    count: int, net: vae.Autoencoder
) -> None:
    half, latents = copy.deepcopy(net).half(), torch.randn(7, 4, 2, 3)
    latents[3] *= 1e6
    alone, several = (
        np.stack(list(FrameDecoder([(half, torch.device("cpu"))] * n).frames(latents, range(7))))
        for n in (1, count)
    )
    assert np.array_equal(several, alone)


def test_short_memory_halves_the_batches_before_it_tiles(
    net: vae.Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    whole = net.decode

    def short(latents: Tensor) -> Tensor:
        tried.append(len(latents))
        if len(latents) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return whole(latents)

    monkeypatch.setattr(net, "decode", short)
    decoder = FrameDecoder([(net, torch.device("cpu"))])
    decoder.at_once = 8
    assert len(list(decoder.frames(torch.randn(8, 4, 4, 5), range(8)))) == 8
    assert tried == [8, 4, 2, 2, 2, 2]
    assert not net.tiled


@pytest.mark.parametrize(("dtype", "rounded"), [("fp32", False), ("tf32", True)])
def test_float32_is_float32_unless_tf32_is_asked_for(dtype: str, rounded: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with float32_products(dtype):
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (rounded, rounded)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


@pytest.fixture
def newer_flags() -> Iterator[list[Any]]:
    """The backends whose newer flags a host has set: products TF32, convolutions not."""
    found: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv", None)]
    if found[1] is None:
        pytest.skip("this PyTorch has no newer flags")
    before = [backend.fp32_precision for backend in found]
    for backend, value in zip(found, ("tf32", "ieee"), strict=True):
        backend.fp32_precision = value
    yield found
    for backend, value in zip(found, before, strict=True):
        backend.fp32_precision = value


@pytest.mark.parametrize(("dtype", "rounded"), [("fp32", "ieee"), ("tf32", "tf32")])
def test_a_host_that_sets_the_newer_flags_keeps_them(
    dtype: str, rounded: str, newer_flags: list[Any]
) -> None:
    with pytest.raises(RuntimeError):
        _ = torch.backends.cuda.matmul.allow_tf32
    with float32_products(dtype):
        assert [backend.fp32_precision for backend in newer_flags] == [rounded, rounded]
    assert [backend.fp32_precision for backend in newer_flags] == ["tf32", "ieee"]
