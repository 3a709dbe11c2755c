"""Group g: the six official pipelines, step by step, on seeded networks."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from echomimic.diffusion.guidance import Predictor
from echomimic.diffusion.loop import Rules, StepState, clamp_noise, denoise
from echomimic.diffusion.schedule import Sampler
from echomimic.diffusion.windows import Window, WindowPlan, uniform, uniform_windows
from echomimic.models.guider import Guider
from echomimic.models.unet import ReferenceKV, UNet, UNetConfig
from echomimic.models.vae import build_vae, decode, encode
from echomimic.request import Settings
from tests.parity import fixtures

pytestmark = pytest.mark.slow

MODELS = {
    "v1_loop_audio": "v1",
    "v1_loop_audio_acc": "v1-acc",
    "v1_loop_pose": "v1-pose",
    "v1_loop_pose_acc": "v1-pose-acc",
    "v2_loop_base": "v2",
    "v2_loop_acc": "v2-acc",
    "v1_loop_audio_short": "v1",
    "v1_loop_audio_stride2": "v1",
}
CONFIG = UNetConfig(channels=(32, 64, 128, 128))


@functools.lru_cache(maxsize=2)
def unets(version: str) -> tuple[UNet, UNet]:
    """Denoiser and reference net of a code base (all its loops share them)."""
    name = {"v1": "v1_loop_audio", "v2": "v2_loop_base"}[version]
    return _filled(UNet(CONFIG), name, "denoising_unet"), _filled(
        UNet(CONFIG.as_reference()), name, "reference_unet"
    )


def _filled(unet: UNet, name: str, component: str) -> UNet:
    unet.load_state_dict(fixtures.state(name, component) | unet.position_tables())
    return unet.eval().requires_grad_(False)


class Loop:
    """One fixture's pipeline, put together from the package's pieces."""

    def __init__(
        self,
        name: str,
        *,
        cfg: float | None = None,
        faithful: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        self.case, self.given = fixtures.case(name), fixtures.tensors(name)
        config = self.case["config"]
        scale = config["guidance_scale"] if cfg is None else cfg
        given: dict[str, Any] = {"model": MODELS[name], "cfg": scale, "steps": config["steps"]}
        self.settings = Settings(**given, faithful=faithful)
        self.frames = config["requested_length"]
        self.rules = Rules.of(self.settings)
        self.sampler = Sampler("ddim", config["steps"])
        self.vae = build_vae(fixtures.config(name, "vae"))
        self.vae.load_state_dict(fixtures.state(name, "vae"))
        self.vae.to(dtype)
        self.predictor = self._predictor(name)

    def _predictor(self, name: str) -> Predictor:
        denoiser, reference = (copy.deepcopy(net).to(self.dtype) for net in unets(name[:2]))
        guides, audio = self._guides(name), self.given["audio"]
        return Predictor(
            denoiser,
            self._reference(denoiser, reference),
            audio=lambda frames: audio[list(frames)],
            guide=(lambda _: guides) if len(guides) == 1 else (lambda frames: guides[list(frames)]),
            cfg=self.settings.cfg or 0,
            device=torch.device("cpu"),
            dtype=self.dtype,
        )

    def _guides(self, name: str) -> Tensor:
        component = "face_locator" if name.startswith("v1") else "pose_encoder"
        pictures = self.given["mask" if "mask" in self.given else "pose"][0].transpose(0, 1)
        guider = Guider(pictures.shape[1], channels=32)
        guider.load_state_dict(fixtures.state(name, component))
        with torch.no_grad():
            maps: Tensor = guider(pictures)
        return maps

    @torch.no_grad()
    def _reference(self, denoiser: UNet, reference: UNet) -> ReferenceKV:
        picture = self.given["image"].permute(2, 0, 1)[None].float() / 127.5 - 1
        hidden_states = reference.hidden_states(encode(self.vae, picture.to(self.dtype)))
        if self.rules.half_reference:
            hidden_states = {key: state.half().float() for key, state in hidden_states.items()}
        return denoiser.project_reference(hidden_states)

    def windows(self, step: int) -> list[Window]:
        if self.case["config"]["context_stride"] == 1:
            return uniform_windows(WindowPlan(self.frames, rotation=self.rules.rotation), step)
        ring = [
            [(i + step * self.rules.rotation) % self.frames for i in w]
            for w in uniform(0, self.frames, 12, 2, 3)
        ]
        return [Window(tuple(w), (1.0,) * len(w)) for w in ring]

    def run(self) -> Iterator[StepState]:
        noise = clamp_noise(self.given["init_noise"][0].transpose(0, 1), self.rules).contiguous()
        steps = denoise(noise, self.sampler, self.predictor, self.windows, divide=self.rules.divide)
        return (m for m in steps if m.velocity is not None)

    def last(self) -> StepState:
        *_, moment = self.run()
        return moment


def half(latents: Tensor) -> np.ndarray:
    """(F, 4, h, w) as the fixtures store it: (1, 4, F, h, w), every second pixel."""
    return latents.transpose(0, 1)[None, ..., ::2, ::2].numpy()


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("name", MODELS)
def test_every_step_is_official(name: str) -> None:
    loop, expected = Loop(name), fixtures.arrays(name)
    assert loop.sampler.timesteps == loop.case["timesteps"]
    for moment in loop.run():
        assert [list(w.frames) for w in loop.windows(moment.step)] == loop.case["windows"][moment.step]
        tolerance = loop.case["atol_per_step"][moment.step]
        if f"latents_{moment.step}_s2" in expected:
            assert distance(half(moment.latents), expected[f"latents_{moment.step}_s2"]) <= tolerance
        if moment.step == 0 and "noise_pred_0_s2" in expected:
            assert moment.velocity is not None
            assert distance(half(moment.velocity), expected["noise_pred_0_s2"]) <= tolerance
    if "latents_final" in expected:
        final = moment.latents.transpose(0, 1)[None].numpy()
        assert distance(final, expected["latents_final"]) <= loop.case["atol"]
        shown = decode(loop.vae, moment.latents[[0, len(final[0, 0]) // 2, len(final[0, 0]) - 1]])
        shrunk = shown.transpose(0, 1)[None, ..., ::8, ::8].numpy()
        assert distance(shrunk, expected["video_s8"]) <= loop.case["video_atol"]


@pytest.mark.parametrize("name", ["v1_loop_audio", "v1_loop_audio_acc", "v1_loop_pose_acc", "v2_loop_acc"])
def test_the_other_guidance_is_official_too(name: str) -> None:
    """Among them V1 audio without guidance, which adds up overlapping windows: only when faithful.

    To save time, of two loops that differ from the others in nothing but their weights only the first step is
    made.
    """
    other, expected = fixtures.case(name)["alternative"], fixtures.arrays(name)
    loop = Loop(name, cfg=other["guidance_scale"])
    if name == "v1_loop_audio":
        loop.rules = Rules.of(Settings(model="v1", cfg=1.0, faithful=True))
        assert not loop.rules.divide
    steps = loop.run()
    assert distance(half(next(steps).latents), expected["alt_latents_0_s2"]) <= other["atol"]
    if name in ("v1_loop_audio", "v2_loop_acc"):
        *_, last = steps
        assert distance(half(last.latents), expected["alt_latents_final_s2"]) <= other["atol"]


def test_faithful_rounds_the_reference_features_as_official() -> None:
    loop = Loop("v1_loop_audio_acc", faithful=True)
    final = half(loop.last().latents)
    assert distance(final, fixtures.arrays(loop.case)["latents_final_bank_fp16_s2"]) <= loop.case["atol"]


@pytest.mark.parametrize("rules", [Rules(rotation=3, clamp=1.5), Rules(rotation=2, clamp=None)])
def test_a_wrong_rule_is_seen(rules: Rules) -> None:
    """Wrong rotation and missing clamp each move the result by far more than the tolerance."""
    loop = Loop("v1_loop_audio_acc")
    loop.rules = rules
    expected = fixtures.arrays(loop.case)["latents_1_s2"]
    found = next(m for m in loop.run() if m.step == 1)
    assert distance(half(found.latents), expected) > 20 * loop.case["atol"]
