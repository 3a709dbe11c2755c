"""Recorded forwards, with a recorder that needs no GPU: what is recorded when, and what a failure does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from echomimic.diffusion.captured import CapturedForward, agree
from echomimic.models.attention import ReferenceKV
from echomimic.models.unet import DeepFeatures

REFERENCE = ReferenceKV({})


class Net:
    """Adds up what it is given; a graph runs it again on the tensors it was recorded with."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        *,
        reference: ReferenceKV,
        audio: Tensor,
        frames: int,
        unconditional: int = 0,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        self.calls += 1
        found = x + t + audio.sum() + frames + unconditional
        if deep is not None:
            deep.value = 10 * x if deep.value is None else deep.value
            found = found + deep.value
        return found


class Recorder:
    """Remembers what it recorded; replaying writes into the same result, as a graph does."""

    def __init__(self, error: str = "", wrong: float = 0.0) -> None:
        self.recorded, self.replays, self.error, self.wrong = 0, 0, error, wrong

    def __call__(self, run: Callable[[], list[Tensor]]) -> tuple[Callable[[], object], list[Tensor]]:
        self.recorded += 1
        if self.error:
            raise RuntimeError(self.error)
        results = [result.clone() for result in run()]

        def replay() -> None:
            self.replays += 1
            for held, result in zip(results, run(), strict=True):
                held.copy_(result + self.wrong)

        return replay, results


def forward(captured: Callable[..., Tensor], x: Tensor, t: int = 1, **more: Any) -> Tensor:
    audio = more.pop("audio", torch.ones(2))
    return captured(x, torch.tensor(t), reference=REFERENCE, audio=audio, frames=2, **more)


def test_a_shape_is_computed_then_recorded_then_replayed() -> None:
    net, record, notes = Net(), Recorder(), list[str]()
    captured = CapturedForward(net, notes.append, record)
    for i in range(5):
        x, audio = torch.full((2, 3), float(i)), torch.full((2,), float(i))
        found = forward(captured, x, i, audio=audio)
        assert torch.equal(found, forward(Net(), x, i, audio=audio))
        assert record.recorded == min(i, 1)
    assert record.replays == 4, "one to compare, three in the net's place"
    assert not notes


def test_every_shape_and_kind_of_call_has_its_own_graph() -> None:
    record = Recorder()
    captured = CapturedForward(Net(), print, record)
    small, large = torch.ones(2, 3), torch.ones(4, 3)
    for _ in range(4):
        for x, more in ((small, {}), (large, {}), (large, {"unconditional": 1})):
            assert torch.equal(forward(captured, x, **more), forward(Net(), x, **more))
    assert record.recorded == 3


def test_results_stay_as_they_are_when_the_graph_runs_again() -> None:
    captured, x = CapturedForward(Net(), print, Recorder()), torch.ones(2, 3)
    held = [forward(captured, x * i).clone() for i in range(4)]
    kept = [forward(captured, x * i) for i in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(kept, held, strict=True))


def test_deep_features_are_handed_out_and_taken_in() -> None:
    record = Recorder()
    captured = CapturedForward(Net(), print, record)
    for i in range(4):
        x, full, taken = (
            torch.full((2, 3), float(i)),
            DeepFeatures(1),
            DeepFeatures(1, torch.full((2, 3), 7.0 + i)),
        )
        assert torch.equal(forward(captured, x, deep=full), forward(Net(), x, deep=DeepFeatures(1)))
        assert full.value is not None
        assert torch.equal(full.value, 10 * x)
        assert torch.equal(
            forward(captured, x, deep=taken), forward(Net(), x, deep=DeepFeatures(1, taken.value))
        )
    assert record.recorded == 2


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Recorder(error="operation not permitted\nmore"), "operation not permitted"),
        (Recorder(wrong=1e6), "its numbers differ"),
    ],
)
def test_what_cannot_be_recorded_runs_as_usual_and_is_told_once(record: Recorder, reason: str) -> None:
    net, notes = Net(), list[str]()
    captured = CapturedForward(net, notes.append, record)
    for i in range(5):
        for rows in (2, 4):
            x = torch.full((rows, 3), float(i))
            assert torch.equal(forward(captured, x), forward(Net(), x))
    assert notes == [f"the network is not replayed as a CUDA graph ({reason}); it runs as usual, slower"]
    assert record.recorded == 1


def test_another_reference_is_computed() -> None:
    record, net = Recorder(), Net()
    captured = CapturedForward(net, print, record)
    for _ in range(3):
        forward(captured, torch.ones(2, 3))
    before = record.replays
    captured(torch.ones(2, 3), torch.tensor(1), reference=ReferenceKV({}), audio=torch.ones(2), frames=2)
    assert record.replays == before


def test_rounding_agrees_and_other_numbers_do_not() -> None:
    x = torch.randn(100)
    assert agree(x + 1e-4, x)
    assert not agree(x.roll(1), x)
    assert not agree(x * float("nan"), x)
