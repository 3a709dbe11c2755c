"""The sampler: diffusers' schedulers with the official noise schedule, v-prediction and trailing time steps.

Official: DDIM without noise (eta 0), 1000 linear betas 0.00085 … 0.012 rescaled to zero terminal SNR (Lin et
al. 2024, arXiv 2305.08891). The other schedulers solve the same equation in their own way.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from echomimic.errors import SettingsError

SCHEDULERS: dict[str, str] = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "deis": "DEISMultistepScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++-single": "DPMSolverSinglestepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "kdpm2": "KDPM2DiscreteScheduler",
    "kdpm2-a": "KDPM2AncestralDiscreteScheduler",
    "lcm": "LCMScheduler",
    "pndm": "PNDMScheduler",
    "sa": "SASolverScheduler",
    "tcd": "TCDScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""Our short names → diffusers classes that predict v on this schedule. Both names are accepted."""

OFFICIAL: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "steps_offset": 1,
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
_SMALLEST_ALPHA = 2**-24
_FRAMES_AT_ONCE = 64


def scheduler_class(name: str) -> str:
    """diffusers' class name for ``name``; raises :class:`SettingsError` that lists the names there are."""
    wanted = SCHEDULERS.get(name.lower())
    if wanted is None:
        wanted = next((c for c in SCHEDULERS.values() if c.lower() in (name.lower(), f"{name.lower()}scheduler")), None)
    if wanted is None:
        raise SettingsError(f"scheduler {name!r} is unknown; choose one of {', '.join(SCHEDULERS)}")
    return wanted


class Sampler:
    """One scheduler, ready for ``steps`` steps: turns predictions of v for the whole video into its next latents.

    Latents are float32 on the CPU, frames first. ``timesteps`` may be more than ``steps`` (Heun asks twice per
    step). Schedulers that add noise draw it from a generator seeded by ``seed`` and the step, so a run that
    was interrupted goes on with the same numbers.
    """

    def __init__(self, name: str, steps: int, seed: int = 0) -> None:
        import diffusers

        kind = getattr(diffusers, scheduler_class(name))
        takes = inspect.signature(kind.__init__).parameters
        with _quiet():
            self._scheduler = kind(**_arguments(set(takes)))
            self._scheduler.set_timesteps(steps)
        self._stateless = kind.__name__ == "DDIMScheduler"
        self._noisy = "generator" in inspect.signature(kind.step).parameters and not self._stateless
        self._seed = seed
        self.timesteps: list[int] = [round(float(t)) for t in self._scheduler.timesteps]
        self.sigma = float(self._scheduler.init_noise_sigma)
        self._fresh = {key: id(value) for key, value in vars(self._scheduler).items()}

    @property
    def alphas(self) -> Tensor:
        """(1000,) cumulative alphas."""
        return torch.as_tensor(self._scheduler.alphas_cumprod)

    @property
    def final_alpha(self) -> float:
        """Cumulative alpha behind the last step (DDIM)."""
        return float(self._scheduler.final_alpha_cumprod)

    def scaled(self, latents: Tensor, step: int) -> Tensor:
        """What the network sees of ``latents`` at this step (only sigma-based schedulers change them)."""
        if self._stateless:
            return latents
        scaled: Tensor = self._scheduler.scale_model_input(latents, self._scheduler.timesteps[step])
        return scaled

    def step(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        """Latents after this step; DDIM writes them over ``latents``, a few frames at a time."""
        if not self._stateless:
            return self._step(velocity, step, latents)
        for part in range(0, len(latents), _FRAMES_AT_ONCE):
            here = slice(part, part + _FRAMES_AT_ONCE)
            latents[here] = self._step(velocity[here], step, latents[here])
        return latents

    def _step(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        noise = {"generator": torch.Generator().manual_seed(self._seed * 1009 + step)} if self._noisy else {}
        t = self._scheduler.timesteps[step]
        with _quiet():
            after: Tensor = self._scheduler.step(velocity, t, latents, **noise).prev_sample
        return after

    def clean(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        """The picture the network has in mind: x0 from v, for latents as the network saw them."""
        alpha = self.alphas[self.timesteps[step]].float()
        return alpha.sqrt() * latents - (1 - alpha).sqrt() * velocity

    def state(self) -> dict[str, Any]:
        """What the scheduler remembers of earlier steps (nothing for DDIM): plain numbers, tensors and lists."""
        changed = {k: v for k, v in vars(self._scheduler).items() if isinstance(v, list) or self._fresh.get(k) != id(v)}
        return {} if self._stateless else {k: v for k, v in changed.items() if _plain(v)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        for key, value in state.items():
            setattr(self._scheduler, key, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence about numpy's newer array protocol, which some schedulers do not know yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, Tensor))


def _arguments(takes: set[str]) -> dict[str, Any]:
    """The official schedule in the words of one class; those that cannot rescale are given the betas."""
    given = {key: value for key, value in OFFICIAL.items() if key in takes}
    if "lower_order_final" in takes:
        given["lower_order_final"] = True
    if "rescale_betas_zero_snr" not in takes:
        given = {key: value for key, value in given.items() if not key.startswith("beta_")}
        given["trained_betas"] = _rescaled_betas()
    return given


def _rescaled_betas() -> list[float]:
    """Betas with (almost) zero terminal SNR: the last alpha stays above 0, where sigma-based solvers divide."""
    betas = torch.linspace(OFFICIAL["beta_start"], OFFICIAL["beta_end"], 1000, dtype=torch.float64)
    root = (1 - betas).cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alphas = (root**2).clamp(min=_SMALLEST_ALPHA)
    ratio = alphas / torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    return [float(b) for b in 1 - ratio]
