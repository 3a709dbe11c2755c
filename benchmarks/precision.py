"""How far half precision ends from float32: the frames of the recorded tiny loops, in dB.

``python -m benchmarks.precision`` prints the table of docs/fidelity.md. CPU only, about a minute.
"""

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from echomimic.models.vae import decode

LOOPS = {"without guidance, 3 steps": "v1_loop_audio_acc", "cfg 2.5, 4 steps": "v1_loop_audio"}
"""Recorded loops by the column of the table."""


def frames(name: str, dtype: torch.dtype) -> np.ndarray:
    """The 8-bit frames of a recorded loop whose nets compute in ``dtype``, (F, 3, H, W)."""
    loop: Any = importlib.import_module("tests.parity.test_loop").Loop(name, dtype=dtype)
    with torch.no_grad():
        shown = decode(loop.vae, loop.last().latents.to(dtype)).float()
    return np.asarray((shown.clamp(0, 1) * 255).to(torch.uint8).numpy(), float)


def decibels(found: np.ndarray, wanted: np.ndarray) -> float:
    """Peak signal to noise ratio of two sets of frames."""
    return float(20 * np.log10(255 / np.sqrt(((found - wanted) ** 2).mean())))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float16"])
    for name, loop in {**LOOPS, "v2": "v2_loop_base"}.items():
        wanted = frames(loop, torch.float32)
        for dtype in parser.parse_args(arguments).dtypes:
            print(f"{name}, {dtype}: {decibels(frames(loop, getattr(torch, dtype)), wanted):.1f} dB")


if __name__ == "__main__":
    main()
