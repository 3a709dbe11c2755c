"""Every scheduler solves the same equation, and continues where it stopped."""

import copy

import pytest
import torch

from echomimic.diffusion.schedule import SCHEDULERS, Sampler, scheduler_class
from echomimic.errors import SettingsError

TARGET = 0.7


def ideal_velocity(sampler: Sampler, seen: torch.Tensor, step: int) -> torch.Tensor:
    """v of a network that knows every clean latent is TARGET."""
    alpha = sampler.alphas[sampler.timesteps[step]].clamp(min=0).float()
    noise = (seen - alpha.sqrt() * TARGET) / (1 - alpha).sqrt()
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * TARGET


def walk(sampler: Sampler, latents: torch.Tensor, first: int, last: int) -> torch.Tensor:
    for step in range(first, last):
        latents = sampler.step(ideal_velocity(sampler, sampler.scaled(latents, step), step), step, latents)
    return latents


def noise(sampler: Sampler) -> torch.Tensor:
    return torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * sampler.sigma


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_arrives_and_resumes_bit_identically(name: str) -> None:
    whole = Sampler(name, 8, seed=3)
    expected = walk(whole, noise(whole), 0, len(whole.timesteps))
    assert abs(float(expected.mean()) - TARGET) < 0.06

    first = Sampler(name, 8, seed=3)
    half = walk(first, noise(first), 0, 5)
    state = copy.deepcopy(first.state())
    second = Sampler(name, 8, seed=3)
    second.restore(state)
    torch.testing.assert_close(walk(second, half, 5, len(second.timesteps)), expected, atol=0, rtol=0)


def test_names_of_diffusers_work_too_and_wrong_ones_list_the_choice() -> None:
    assert scheduler_class("EulerDiscreteScheduler") == scheduler_class("euler") == scheduler_class("EulerDiscrete")
    with pytest.raises(SettingsError, match=r"'magic' is unknown; choose one of ddim, ddpm"):
        scheduler_class("magic")


def test_clean_inverts_the_velocity() -> None:
    sampler = Sampler("ddim", 4)
    latents = noise(sampler)
    velocity = ideal_velocity(sampler, latents, 2)
    torch.testing.assert_close(sampler.clean(velocity, 2, latents), torch.full_like(latents, TARGET))
