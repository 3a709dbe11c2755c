"""Group g, sampler: time steps, alphas and whole chains of the official DDIM."""

import pytest
import torch

from echomimic.diffusion.schedule import Ddim, Sampler
from tests.parity import fixtures, seeded

CASES = ["v1_scheduler", "v2_scheduler"]


@pytest.mark.parametrize("name", CASES)
def test_schedule_is_official(name: str) -> None:
    expected, case = fixtures.arrays(name), fixtures.case(name)
    for steps in case["step_counts"]:
        assert Sampler("ddim", steps).timesteps == expected[f"timesteps_{steps}"].tolist()
    sampler = Sampler("ddim", 6)
    torch.testing.assert_close(
        sampler.alphas, torch.from_numpy(expected["alphas_cumprod"]), atol=1e-6, rtol=0
    )
    assert Ddim(6).final_alpha == expected["final_alpha_cumprod"]
    assert sampler.sigma == expected["init_noise_sigma"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("steps", [6, 30])
def test_chains_are_official(name: str, steps: int) -> None:
    case, expected = fixtures.case(name), torch.from_numpy(fixtures.arrays(name)[f"chain_{steps}"])
    samples, velocities = {s["name"]: s for s in case["inputs"]}["sample_{n}"], case["inputs"][1]

    def drawn(spec: fixtures.Case, name: str) -> torch.Tensor:
        array = seeded.array(name, spec["shape"], spec["kind"], spec["salt"])
        return torch.from_numpy(array)[0].transpose(0, 1).contiguous()

    sampler, latents = Sampler("ddim", steps), drawn(samples, f"sample_{steps}")
    for i in range(steps):
        latents = sampler.step(drawn(velocities, f"v_{steps}_{i}"), i, latents)
        assert (latents - expected[i, 0].transpose(0, 1)).abs().max() <= case["atol"]
