"""A kept engine looks at a portrait once and hears a speech once, and what differs anew."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from echomimic.diffusion.engine import DiffusionEngine, load_engine
from echomimic.diffusion.placement import Placement
from echomimic.diffusion.portrait_cache import PortraitCache
from echomimic.media.audio import Speech
from echomimic.request import Settings
from tests.diffusion.conftest import Make


@pytest.fixture
def kept(weights: Callable[[str], Path]) -> DiffusionEngine:
    return load_engine(Settings(model="v1", weights=weights("v1"), device="cpu", dtype="fp32"))


def test_two_videos_of_a_portrait_take_one_pass(
    kept: DiffusionEngine, make: Make, weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, hidden_states = [], kept.nets.reference.hidden_states

    def counted(latent: torch.Tensor) -> dict[str, torch.Tensor]:
        passes.append(latent.shape)
        return hidden_states(latent)

    monkeypatch.setattr(kept.nets.reference, "hidden_states", counted)
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


def test_a_speech_is_heard_once_and_another_anew(
    kept: DiffusionEngine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    encode = kept.nets.whisper.forward

    def counted(*given: object, **more: object) -> object:
        heard.append(1)
        return encode(*given, **more)

    monkeypatch.setattr(kept.nets.whisper, "forward", counted)
    conditions = make("v1", frames=2, steps=1)
    first, again = (list(kept.frames(conditions)) for _ in range(2))
    assert len(heard) == 1
    assert np.array_equal(first, again)
    quiet = Speech.from_array(conditions.speech.read(0, 20_000) * np.float32(0.5), 16_000)
    list(kept.frames(dataclasses.replace(conditions, speech=quiet)))
    list(kept.frames(dataclasses.replace(conditions, speech=quiet, fps=12.0)))
    assert len(heard) == 3


class Moved(torch.nn.Module):
    """Remembers where it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def to(self, device: object) -> "Moved":  # type: ignore[override]
        self.places.append(str(device))
        return self


@pytest.mark.parametrize(
    ("offload", "device", "places"),
    [
        ("none", "meta", ["meta", "cpu"]),
        ("none", "cpu", []),
        ("model", "meta", ["meta", "cpu"]),
        ("sequential", "meta", []),
    ],
)
def test_what_is_needed_once_waits_in_main_memory(offload: str, device: str, places: list[str]) -> None:
    net = Moved()
    with Placement(offload, torch.device(device)).visiting(net):
        assert net.places == places[:1]
    assert net.places == places


def test_whatever_decides_the_numbers_tells_portraits_apart() -> None:
    cache, looked, cpu = PortraitCache(), list[object](), torch.device("cpu")

    def look(portrait: torch.Tensor, circumstances: object) -> None:
        def see() -> dict[str, torch.Tensor]:
            looked.append(circumstances)
            return {"block": portrait + 1}

        assert torch.equal(cache.hidden_states(portrait, circumstances, cpu, see)["block"], portrait + 1)

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
