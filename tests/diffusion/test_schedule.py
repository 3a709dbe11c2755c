"""Every scheduler solves the same equation, and continues where it stopped."""

import copy
import importlib.util

import pytest
import torch

from echomimic.diffusion.borrowed import OFFICIAL, generator_for
from echomimic.diffusion.loop import Rules, first_noise
from echomimic.diffusion.schedule import DDIM, SCHEDULERS, Sampler, find_scheduler
from echomimic.errors import ResourceError, SettingsError

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


HERE = SCHEDULERS if importlib.util.find_spec("diffusers") else (DDIM,)


@pytest.mark.parametrize("name", HERE)
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
    assert (
        find_scheduler("EulerDiscreteScheduler") == find_scheduler("euler") == find_scheduler("EulerDiscrete")
    )
    with pytest.raises(SettingsError, match=r"'magic' is unknown; choose one of ddim, ddpm"):
        find_scheduler("magic")


def test_clean_inverts_the_velocity() -> None:
    sampler = Sampler("ddim", 4)
    latents = noise(sampler)
    velocity = ideal_velocity(sampler, latents, 2)
    torch.testing.assert_close(sampler.clean(velocity, 2, latents), torch.full_like(latents, TARGET))


@pytest.mark.parametrize("steps", [1, 6, 7, 30, 48, 100])
def test_ddim_is_bit_for_bit_the_one_of_diffusers(steps: int) -> None:
    theirs = pytest.importorskip("diffusers").DDIMScheduler(**OFFICIAL)
    theirs.set_timesteps(steps)
    ours = Sampler("ddim", steps)
    assert ours.timesteps == theirs.timesteps.tolist()
    assert torch.equal(ours.alphas, theirs.alphas_cumprod)
    expected = noise(ours)
    found = expected.clone()
    for step, t in enumerate(theirs.timesteps):
        velocity = torch.randn(found.shape, generator=torch.Generator().manual_seed(step))
        expected = theirs.step(velocity, t, expected).prev_sample
        found = ours.step(velocity, step, found)
        assert torch.equal(found, expected)


def test_other_samplers_name_the_remedy_when_diffusers_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        ResourceError, match=r"scheduler euler .* choose ddim, or run: pip install .*\[schedulers\]"
    ):
        Sampler("euler", 4)
    assert Sampler("ddim", 4).timesteps == [999, 749, 499, 249]


@pytest.mark.parametrize("name", ["lcm", "tcd"])
def test_samplers_that_cannot_take_so_many_steps_say_so(name: str) -> None:
    with pytest.raises(
        SettingsError, match=f"{name} takes at most 50 steps, not 51; lower steps or choose ddim"
    ):
        Sampler(name, 51)


def test_a_sampler_that_is_not_accurate_is_not_offered() -> None:
    with pytest.raises(SettingsError, match="'pndm' is unknown"):
        Sampler("pndm", 30)


def test_every_step_draws_other_noise_and_never_that_of_the_start() -> None:
    shape = (4, 4, 8, 8)
    drawn = [
        torch.randn(shape, generator=generator_for(seed, step)) for seed in range(4) for step in range(6)
    ]
    drawn += [first_noise(4, 64, 64, seed, Rules(3, None)) for seed in range(4)]
    flat = torch.stack([values.flatten()[:64] for values in drawn])
    correlation = torch.corrcoef(torch.stack([values.flatten() for values in drawn]))
    assert len({tuple(row) for row in flat.tolist()}) == len(drawn)
    assert float((correlation - torch.eye(len(drawn))).abs().max()) < 0.2
    assert torch.equal(drawn[1], torch.randn(shape, generator=generator_for(0, 1)))


@pytest.mark.parametrize("name", ["ddpm", "euler-a", "kdpm2-a", "lcm", "sa", "tcd"])
def test_stochastic_samplers_use_that_noise(name: str) -> None:
    pytest.importorskip("diffusers")
    first, second, again = Sampler(name, 8, seed=0), Sampler(name, 8, seed=1), Sampler(name, 8, seed=0)
    ends = [walk(sampler, noise(sampler), 0, 4) for sampler in (first, second, again)]
    assert torch.equal(ends[0], ends[2])
    assert not torch.allclose(ends[0], ends[1], atol=1e-3)


@pytest.mark.parametrize("name", ["ddpm", "euler-a", "kdpm2-a", "lcm", "sa", "tcd"])
def test_each_step_draws_noise_of_its_own(name: str) -> None:
    """The same latents and prediction at every step:
    what two seeds make of them differs by their noise alone."""
    pytest.importorskip("diffusers")
    first, second = Sampler(name, 8, seed=0), Sampler(name, 8, seed=1)
    drawn = []
    for step in range(5):
        ends = [
            sampler.step(torch.ones(2, 4, 8, 8), step, torch.ones(2, 4, 8, 8)) for sampler in (first, second)
        ]
        drawn.append((ends[0] - ends[1]).flatten())
    noisy = [difference for difference in drawn if float(difference.std()) > 1e-4]
    assert len(noisy) >= 2
    assert abs(float(torch.corrcoef(torch.stack(noisy[:2]))[0, 1])) < 0.7, "equal noise would give 1"


@pytest.mark.parametrize("name", HERE)
def test_nothing_of_the_picture_is_left_in_the_first_step(name: str) -> None:
    """Zero terminal SNR, or as near to zero as solvers that divide by it can go."""
    alphas = Sampler(name, 8).alphas
    assert 0 <= float(alphas[-1]) < 1e-7
    assert float(alphas[0]) == pytest.approx(1 - 0.00085, abs=1e-6)
    assert (alphas.diff() < 0).all()
