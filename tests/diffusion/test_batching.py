"""Several windows through the network together: which, how many, and what happens when memory runs out."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from echomimic.diffusion.batching import USUALLY_AT_ONCE, WindowBatch, batch_for, fitting, grouped
from echomimic.diffusion.guidance import Predictor
from echomimic.diffusion.loop import denoise
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import WindowPlan, open_windows
from echomimic.models.attention import ReferenceKV
from echomimic.request import Settings

FRAMES = 20


def test_groups_keep_the_order_are_alike_and_serve_every_device() -> None:
    assert grouped(range(7), 3) == [range(2), range(2, 4), range(4, 7)]
    assert [len(group) for group in grouped(range(6), 4, devices=2)] == [3, 3]
    assert [len(group) for group in grouped(range(3), 4, devices=4)] == [1, 1, 1]
    for count in range(1, 12):
        for size in range(1, 6):
            groups = grouped(range(count), size)
            assert [item for group in groups for item in group] == list(range(count))
            assert max(map(len, groups)) <= size


def test_what_fits_is_what_half_of_the_free_memory_holds() -> None:
    tokens, half = 24 * 4096, torch.float16
    assert fitting(2**30, tokens, half) == 1
    assert fitting(7 * 2**30, tokens, half) == 2
    assert fitting(140 * 2**30, tokens, half) == USUALLY_AT_ONCE
    assert fitting(14 * 2**30, tokens, torch.float32) == 2
    settings, cpu = Settings(model="v1"), torch.device("cpu")
    assert batch_for(settings, 48, 4096, cpu, half) == WindowBatch(12, 1)
    assert batch_for(Settings(model="v1", windows_at_once=5), 7, 4096, cpu, half) == WindowBatch(7, 5)


class Mixing:
    """Every frame changes with the others of its clip, and with nothing else; ``most`` images fit."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.sizes = most, list[int]()

    def __call__(self, x: Tensor, t: Tensor, *, frames: int, unconditional: int = 0, **_: Any) -> Tensor:
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        clips = x.reshape(-1, frames, *x.shape[1:])
        told = torch.arange(len(clips), device=x.device) >= unconditional
        found: Tensor = clips.cumsum(1).tanh() + 0.1 * told[:, None, None, None, None]
        return found.flatten(0, 1)


def looped(net: Mixing, batch: WindowBatch | None, device: str = "cpu") -> Tensor:
    """Two guided steps of open windows."""

    def rows(frames: Sequence[int]) -> Tensor:
        return torch.zeros(len(frames), 1, 1, device=device)

    where = torch.device(device)
    predict = Predictor(net, ReferenceKV({}), rows, rows, 2.5, where, torch.float32, batch)
    start = torch.randn(FRAMES, 4, 2, 2, generator=torch.manual_seed(1)).to(device)
    plan = WindowPlan(FRAMES, 6, 2, 1)
    *_, state = denoise(
        start, Sampler("ddim", 2), predict, lambda step: open_windows(plan, step), batch=batch
    )
    return state.latents


@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_together_is_bit_for_bit_one_by_one_where_the_net_is(size: int) -> None:
    net = Mixing()
    assert torch.equal(looped(net, WindowBatch(6, size)), looped(Mixing(), None))
    assert max(net.sizes) == 12 * min(size, 5)


def test_short_memory_makes_groups_smaller_and_changes_nothing() -> None:
    net, batch = Mixing(most=24), WindowBatch(6, 4)
    assert torch.equal(looped(net, batch), looped(Mixing(), None))
    assert batch.size == 1, "four windows of five did not fit, nor three"
    with pytest.raises(torch.cuda.OutOfMemoryError):
        looped(Mixing(most=6), WindowBatch(6, 4))


def test_together_waits_for_nothing_either() -> None:
    assert looped(Mixing(), WindowBatch(6, 3), "meta").device.type == "meta"
