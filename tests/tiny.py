"""Complete model folders small enough for tests: the recorded cases' nets in the official layout.

The nets are those the loops in ``tests/parity`` were recorded with (channels 32/64/128/128), so an engine
that loads such a folder has to reproduce the recorded numbers. Whisper tiny is tiny already and comes in its
full size.
"""

import json
import os
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from echomimic.models.audio import whisper_positions
from echomimic.models.layouts import CARD
from echomimic.models.networks import MOTION_PREFIX, Sizes
from echomimic.models.unet import UNet, UNetConfig
from tests.parity import fixtures

CHANNELS = (32, 64, 128, 128)
CASES = {"v1": "v1_loop_audio", "v1-pose": "v1_loop_pose", "v2": "v2_loop_base"}
VARIANTS = {"v1": ("v1", "v1-acc", "v1-pose", "v1-pose-acc"), "v2": ("v2", "v2-acc")}


def sizes() -> Sizes:
    """Sizes of the tiny nets."""
    return Sizes(UNetConfig(channels=CHANNELS), vae=fixtures.config("v1_vae", "vae"))


def card() -> dict[str, Any]:
    """The same as the ``networks`` entry of ``echomimic.json``, as a trainer of small nets would write it."""
    return {"unet": asdict(sizes().unet), "vae": dict(sizes().vae or {})}


def write(folder: Path, family: Literal["v1", "v2"] = "v1", *, acc: bool = True, pose: bool = True) -> Path:
    """Write ``folder`` as the official ``pretrained_weights`` of ``family`` and return it.

    ``acc`` and ``pose`` add the files of those variants; ``acc`` has the base's weights, as in the recorded
    cases.
    """
    for name in ("sd-vae-ft-mse", "audio_processor"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    kinds = [("", family)] + ([("_pose", "v1-pose")] if pose and family == "v1" else [])
    for suffix, kind in kinds:
        _write_own(folder, kind, suffix, acc)
    save_file(_vae(family), folder / "sd-vae-ft-mse" / "diffusion_pytorch_model.safetensors")
    whisper = {"dims": fixtures.config("whisper_short", "whisper"), "model_state_dict": _whisper()}
    torch.save(whisper, folder / "audio_processor" / ("whisper_tiny.pt" if family == "v1" else "tiny.pt"))
    (folder / CARD).write_text(json.dumps({"format": 1, "networks": card()}))
    return folder


def _write_own(folder: Path, kind: str, suffix: str, acc: bool) -> None:
    denoiser = denoising_state(CASES[kind])
    motion = {key: value for key, value in denoiser.items() if MOTION_PREFIX in key}
    still = {key: value for key, value in denoiser.items() if MOTION_PREFIX not in key}
    for name, state in (("denoising_unet", still), ("motion_module", motion)):
        torch.save(state, folder / f"{name}{suffix}.pth")
        if acc:
            _link(folder / f"{name}{suffix}.pth", folder / f"{name}{suffix}_acc.pth")
    torch.save(fixtures.state(CASES[kind], "reference_unet"), folder / f"reference_unet{suffix}.pth")
    guider, name = (
        ("pose_encoder", "pose_encoder") if kind == "v2" else ("face_locator", f"face_locator{suffix}")
    )
    torch.save(fixtures.state(CASES[kind], guider), folder / f"{name}.pth")


def _link(old: Path, new: Path) -> None:
    new.unlink(missing_ok=True)
    os.link(old, new)


@cache
def denoising_state(case: str) -> dict[str, Tensor]:
    """The denoiser's weights of a case with its computed position tables."""
    with torch.device("meta"):
        tables = UNet(UNetConfig(channels=CHANNELS)).position_tables()
    return {**fixtures.state(case, "denoising_unet"), **{key: table.clone() for key, table in tables.items()}}


@cache
def _vae(family: str) -> dict[str, Tensor]:
    return dict(fixtures.state(f"{family}_vae", "vae"))


@cache
def _whisper() -> dict[str, Tensor]:
    state = dict(fixtures.state("whisper_short", "whisper"))
    return {
        **state,
        "encoder.positional_embedding": whisper_positions(),
        "decoder.ln.weight": torch.ones(384),
    }
