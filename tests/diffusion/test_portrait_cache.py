"""A kept engine looks at a portrait once, and at everything anew that would look different."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from echomimic.diffusion.engine import DiffusionEngine, load_engine
from echomimic.diffusion.portrait_cache import PortraitCache
from echomimic.request import Settings
from tests.diffusion.conftest import Make


@pytest.fixture
def kept(weights: Callable[[str], Path]) -> DiffusionEngine:
    return load_engine(Settings(model="v1", weights=weights("v1"), device="cpu", dtype="fp32"))


def test_two_videos_of_a_portrait_take_one_pass(
    kept: DiffusionEngine, make: Make, weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, taps = [], kept.nets.reference.taps

    def counted(latent: torch.Tensor) -> dict[str, torch.Tensor]:
        passes.append(latent.shape)
        return taps(latent)

    monkeypatch.setattr(kept.nets.reference, "taps", counted)
    conditions = make("v1", frames=2, steps=1)
    first, again = (np.stack(list(kept.frames(conditions))) for _ in range(2))
    assert len(passes) == 1
    assert np.array_equal(first, again)

    other = dataclasses.replace(conditions, picture=conditions.picture[:, ::-1].copy())
    seen = np.stack(list(kept.frames(other)))
    assert len(passes) == 2
    anew = load_engine(Settings(model="v1", weights=weights("v1"), device="cpu", dtype="fp32"))
    assert np.array_equal(seen, np.stack(list(anew.frames(other))))
    assert not np.array_equal(seen, first)


def test_whatever_decides_the_numbers_tells_portraits_apart() -> None:
    cache, looked, cpu = PortraitCache(), list[object](), torch.device("cpu")

    def look(portrait: torch.Tensor, circumstances: object) -> None:
        def see() -> dict[str, torch.Tensor]:
            looked.append(circumstances)
            return {"block": portrait + 1}

        assert torch.equal(cache.taps(portrait, circumstances, cpu, see)["block"], portrait + 1)

    tall, wide = torch.zeros(1, 3, 16, 8), torch.zeros(1, 3, 8, 16)
    for portrait, circumstances in [
        (tall, "a"),
        (tall, "a"),
        (wide, "a"),
        (wide, "b"),
        (wide, "b"),
        (wide + 1, "b"),
    ]:
        look(portrait, circumstances)
    assert looked == ["a", "a", "b", "b"]
