"""Classifier-free guidance around a denoiser that does arithmetic instead of thinking."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from echomimic.diffusion.guidance import Predictor
from echomimic.models.unet import ReferenceKV

FRAMES = (5, 2, 3)


class Denoiser:
    """Adds up what it is told, and remembers it. The unconditional half hears nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []
        self.dtypes: set[torch.dtype] = set()

    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        *,
        frames: int,
        reference: ReferenceKV,
        audio: Tensor,
        guide: Tensor,
        unconditional: int = 0,
    ) -> Tensor:
        self.calls.append((len(x), int(t), frames, unconditional))
        self.dtypes |= {x.dtype, audio.dtype, guide.dtype}
        told = audio.mean((1, 2)) + 10 * guide.mean((1, 2, 3))
        heard = torch.cat([torch.zeros_like(told)] * unconditional + [told])
        return x + heard[:, None, None, None]


def predictor(denoiser: Denoiser, cfg: float, dtype: torch.dtype = torch.float32) -> Predictor:
    def audio(frames: Sequence[int]) -> Tensor:
        return torch.tensor(frames, dtype=torch.float32)[:, None, None].expand(-1, 50, 384)

    def guide(frames: Sequence[int]) -> Tensor:
        return torch.tensor(frames, dtype=torch.float32)[:, None, None, None].expand(-1, 320, 2, 2)

    return Predictor(denoiser, ReferenceKV({}), audio, guide, cfg, torch.device("cpu"), dtype)


@pytest.mark.parametrize("cfg", [0.0, 0.5, 1.0])
def test_up_to_one_there_is_one_forward_without_an_unconditional_half(cfg: float) -> None:
    denoiser, latents = Denoiser(), torch.randn(3, 4, 2, 2)
    found = predictor(denoiser, cfg)(latents, 721, FRAMES)
    torch.testing.assert_close(found, latents + 11 * torch.tensor(FRAMES)[:, None, None, None])
    assert denoiser.calls == [(3, 721, 3, 0)]


@pytest.mark.parametrize("cfg", [1.01, 2.5, 10.0])
def test_above_one_the_difference_to_the_unconditional_half_is_multiplied(cfg: float) -> None:
    denoiser, latents = Denoiser(), torch.randn(3, 4, 2, 2)
    found = predictor(denoiser, cfg)(latents, 33, FRAMES)
    torch.testing.assert_close(found, latents + cfg * 11 * torch.tensor(FRAMES)[:, None, None, None])
    assert denoiser.calls == [(6, 33, 3, 1)]


@pytest.mark.parametrize("cfg", [1.0, 2.5])
def test_the_net_computes_in_its_own_format_and_the_answer_is_float32(cfg: float) -> None:
    denoiser = Denoiser()
    found = predictor(denoiser, cfg, torch.bfloat16)(torch.ones(3, 4, 2, 2), 1, FRAMES)
    assert denoiser.dtypes == {torch.bfloat16}
    assert found.dtype == torch.float32
    assert found.device.type == "cpu"
