"""diffusers' samplers, where diffusers is installed: the same noise schedule, other ways to solve it.

They compute in main memory: some of them look at numbers in between, which on a GPU would stop it every time.
"""

import copy
import hashlib
import importlib.util
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from echomimic.diffusion.schedule import BETAS, TRAINED
from echomimic.errors import ResourceError

OFFICIAL: dict[str, Any] = {
    "num_train_timesteps": TRAINED,
    "beta_start": BETAS[0],
    "beta_end": BETAS[1],
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "steps_offset": 1,
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
"""The official schedule in diffusers' words."""

# Zero terminal SNR makes the last alpha 0, by whose root sigma-based samplers divide; diffusers' own
# choice.
_SMALLEST_ALPHA = 2**-24


def need_diffusers(short: str) -> None:
    """Raises :class:`ResourceError` with the remedy when the sampler ``short`` cannot be borrowed."""
    if importlib.util.find_spec("diffusers") is None:
        raise ResourceError(
            f"scheduler {short} is one of diffusers', which is not installed; choose ddim, "
            'or run: pip install "echomimic-studio[schedulers]"'
        )


class DiffusersSolver:
    """One of diffusers' schedulers behind the few words that the loop needs; see ``schedule.Sampler``."""

    in_place = False

    def __init__(self, cls: str, steps: int, seed: int) -> None:
        import diffusers

        kind = getattr(diffusers, cls)
        with _quiet():
            self._scheduler = kind(**_arguments(set(inspect.signature(kind.__init__).parameters)))
            self._scheduler.set_timesteps(steps)
        self._noisy = "generator" in inspect.signature(kind.step).parameters
        self._seed = seed
        self.timesteps: list[int] = [round(float(t)) for t in self._scheduler.timesteps]
        self.sigma = float(self._scheduler.init_noise_sigma)
        self.alphas = torch.as_tensor(self._scheduler.alphas_cumprod)
        self._fresh = copy.deepcopy(vars(self._scheduler))

    def scaled(self, latents: Tensor, step: int) -> Tensor:
        """Latents as the network sees them."""
        scaled: Tensor = self._scheduler.scale_model_input(latents, self._scheduler.timesteps[step])
        return scaled

    def step(self, velocity: Tensor, step: int, latents: Tensor) -> Tensor:
        """Latents after this step, where ``latents`` were."""
        noise = {"generator": generator_for(self._seed, step)} if self._noisy else {}
        t = self._scheduler.timesteps[step]
        with _quiet():
            after: Tensor = self._scheduler.step(velocity.cpu(), t, latents.cpu(), **noise).prev_sample
        return after.to(latents.device)

    def state(self) -> dict[str, Any]:
        """What differs from a scheduler that has taken no step yet."""
        now = {key: value for key, value in vars(self._scheduler).items() if _plain(value)}
        return {key: value for key, value in now.items() if not _same(value, self._fresh.get(key))}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        for key, value in state.items():
            setattr(self._scheduler, key, value)


def generator_for(seed: int, step: int) -> torch.Generator:
    """The noise of one step: other numbers for every step and seed, and never those of the first latents."""
    name = hashlib.sha256(f"noise of step {step} with seed {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(name[:7], "big"))


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


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, list):
        same_length = isinstance(other, list) and len(one) == len(other)
        return same_length and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


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
    """Betas with (almost) zero terminal SNR: the last alpha stays above 0,
    where sigma-based solvers divide."""
    betas = torch.linspace(*BETAS, TRAINED, dtype=torch.float64)
    root = (1 - betas).cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alphas = (root**2).clamp(min=_SMALLEST_ALPHA)
    ratio = alphas / torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    return [float(b) for b in 1 - ratio]
