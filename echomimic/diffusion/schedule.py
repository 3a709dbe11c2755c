"""The sampler: DDIM with the official noise schedule, v-prediction and trailing time steps.

Official: DDIM without noise (eta 0; Song et al. 2021, arXiv 2010.02502), 1000 linear betas 0.00085 … 0.012
rescaled to zero terminal SNR (Lin et al. 2024, arXiv 2305.08891). Other samplers solve the same equation in
their own way: they are borrowed from diffusers where it is installed (``borrowed.py``).
"""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from echomimic.errors import SettingsError

DDIM = "ddim"
BORROWED: dict[str, str] = {
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
    "sa": "SASolverScheduler",
    "tcd": "TCDScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""Our short names → diffusers classes that predict v on this schedule. Both names are accepted."""

SCHEDULERS = (DDIM, *BORROWED)
"""All samplers by their short names."""

MOST_STEPS = {"lcm": 50, "tcd": 50}
"""Samplers that choose among so many steps of their own."""

# Steps and noise of the training (Stable Diffusion 1.5's): betas spaced evenly between these.
TRAINED = 1000
BETAS = (0.00085, 0.012)
# A step is taken so many frames at a time: its intermediates then stay small beside the latents.
_FRAMES_AT_ONCE = 64


def find_scheduler(name: str) -> str:
    """The short name for ``name``; raises :class:`SettingsError` that lists the names there are."""
    wanted = name.lower()
    for short, cls in {DDIM: "DDIMScheduler", **BORROWED}.items():
        if wanted in (short, cls.lower(), cls.lower().removesuffix("scheduler")):
            return short
    raise SettingsError(f"scheduler {name!r} is unknown; choose one of {', '.join(SCHEDULERS)}")


def check_scheduler(name: str, steps: int | None = None) -> str:
    """The short name of a sampler that can take ``steps`` steps here;
    raises :class:`SettingsError` otherwise."""
    short = find_scheduler(name)
    most = MOST_STEPS.get(short)
    if most is not None and steps is not None and steps > most:
        raise SettingsError(
            f"scheduler {short} takes at most {most} steps, not {steps}; lower steps or choose ddim"
        )
    if short != DDIM:
        from echomimic.diffusion.borrowed import need_diffusers

        need_diffusers(short)
    return short


class Solver(Protocol):
    """What a sampler has to know; see :class:`Sampler` for the meaning of each."""

    timesteps: list[int]
    sigma: float
    alphas: Tensor
    in_place: bool

    def scaled(self, latents: Tensor, step: int) -> Tensor: ...

    def step(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class Ddim:
    """DDIM without noise: nothing to remember, nothing drawn."""

    sigma = 1.0
    in_place = True

    def __init__(self, steps: int) -> None:
        """``steps`` of 1000 trained ones, the last one first."""
        self.timesteps = [int(t) - 1 for t in np.round(np.arange(TRAINED, 0, -TRAINED / steps))]
        self.alphas = cumulative_alphas()
        self.final_alpha = 1.0
        self._hop = TRAINED // steps

    def scaled(self, latents: Tensor, step: int) -> Tensor:
        """DDIM's latents are what the network sees."""
        return latents

    def step(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        """x' = √a' x₀ + √(1 - a') ε with x₀ = √a x - √(1 - a) v and ε = √a v + √(1 - a) x;
        numbers only, no waiting."""
        now, then = self.timesteps[step], self.timesteps[step] - self._hop
        signal, noise = _parts(self.alphas[now])
        later_signal, later_noise = _parts(self.alphas[then]) if then >= 0 else (self.final_alpha, 0.0)
        clean = signal * latents - noise * velocity
        direction = signal * velocity + noise * latents
        return later_signal * clean + later_noise * direction

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


def _parts(alpha: Tensor) -> tuple[float, float]:
    """√a and √(1 - a), rounded to float32 as official."""
    return float(alpha**0.5), float((1 - alpha) ** 0.5)


def cumulative_alphas() -> Tensor:
    """(1000,) float32: how much of the picture is left at each trained step;
    1 - beta multiplied up, the last one 0."""
    root = (1 - torch.linspace(*BETAS, TRAINED)).cumprod(0).sqrt()
    first, last = root[0].clone(), root[-1].clone()
    root = (root - last) * (first / (first - last))
    bar = root**2
    # Official: back to betas and up again; the detour only rounds, and the recorded numbers contain its
    # rounding.
    alphas = torch.cat([bar[:1], bar[1:] / bar[:-1]])
    return (1 - (1 - alphas)).cumprod(0)


class Sampler:
    """One sampler, ready for ``steps`` steps: turns predictions of v for the whole video into its next
    latents.

    Latents are float32, frames first. ``timesteps`` may be more than ``steps`` (Heun asks twice per step).
    Samplers that add noise draw it from a generator seeded by ``seed`` and the step, so a run that was
    interrupted goes on with the same numbers. ``sigma`` is the size of the first noise; ``alphas`` (1000,)
    are the cumulative ones.

    Raises SettingsError: the sampler is unknown, or cannot take so many steps.
    Raises ResourceError: it is borrowed from diffusers, which is not installed.
    """

    def __init__(self, name: str, steps: int, seed: int = 0) -> None:
        short = check_scheduler(name, steps)
        self._solver: Solver = Ddim(steps) if short == DDIM else _borrow(short, steps, seed)
        self.timesteps, self.sigma = self._solver.timesteps, self._solver.sigma

    @property
    def alphas(self) -> Tensor:
        """(1000,) cumulative alphas."""
        return self._solver.alphas

    @property
    def on_device(self) -> bool:
        """Whether steps are taken wherever the latents are, without waiting for anything."""
        return self._solver.in_place

    def scaled(self, latents: Tensor, step: int) -> Tensor:
        """What the network sees of ``latents`` at this step (only sigma-based samplers change them)."""
        return self._solver.scaled(latents, step)

    def step(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        """Latents after this step; DDIM writes them over ``latents``, a few frames at a time."""
        if not self._solver.in_place:
            return self._solver.step(velocity, step, latents)
        for part in range(0, len(latents), _FRAMES_AT_ONCE):
            here = slice(part, part + _FRAMES_AT_ONCE)
            latents[here] = self._solver.step(velocity[here], step, latents[here])
        return latents

    def clean(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        """The picture the network has in mind: x0 from v, for latents as the network saw them."""
        signal, noise = _parts(self.alphas[self.timesteps[step]].float())
        return signal * latents - noise * velocity

    def state(self) -> dict[str, Any]:
        """What the sampler remembers of earlier steps (nothing for DDIM):
        plain numbers, tensors and lists."""
        return self._solver.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self._solver.restore(state)


def _borrow(short: str, steps: int, seed: int) -> Solver:
    from echomimic.diffusion.borrowed import DiffusersSolver

    return DiffusersSolver(BORROWED[short], steps, seed)
