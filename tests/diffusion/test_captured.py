"""Recorded forwards, with a recorder that needs no GPU: what is recorded when, and what a failure does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from echomimic.diffusion import captured
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


def forward(net: Callable[..., Tensor], x: Tensor, t: int = 1, **more: Any) -> Tensor:
    audio = more.pop("audio", torch.ones(2))
    return net(x, torch.tensor(t), reference=REFERENCE, audio=audio, frames=2, **more)


def test_a_shape_is_computed_then_recorded_then_replayed() -> None:
    net, record, notes = Net(), Recorder(), list[str]()
    graphed = CapturedForward(net, notes.append, record)
    for i in range(5):
        x, audio = torch.full((2, 3), float(i)), torch.full((2,), float(i))
        found = forward(graphed, x, i, audio=audio)
        assert torch.equal(found, forward(Net(), x, i, audio=audio))
        assert record.recorded == min(i, 1)
    assert record.replays == 4, "one to compare, three in the net's place"
    assert not notes


def test_every_shape_and_kind_of_call_has_its_own_graph() -> None:
    record = Recorder()
    graphed = CapturedForward(Net(), print, record)
    small, large = torch.ones(2, 3), torch.ones(4, 3)
    for _ in range(4):
        for x, more in ((small, {}), (large, {}), (large, {"unconditional": 1})):
            assert torch.equal(forward(graphed, x, **more), forward(Net(), x, **more))
    assert record.recorded == 3


def test_results_stay_as_they_are_when_the_graph_runs_again() -> None:
    graphed, x = CapturedForward(Net(), print, Recorder()), torch.ones(2, 3)
    held = [forward(graphed, x * i).clone() for i in range(4)]
    kept = [forward(graphed, x * i) for i in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(kept, held, strict=True))


def test_deep_features_are_handed_out_and_taken_in() -> None:
    record = Recorder()
    graphed = CapturedForward(Net(), print, record)
    for i in range(4):
        x, full, taken = (
            torch.full((2, 3), float(i)),
            DeepFeatures(1),
            DeepFeatures(1, torch.full((2, 3), 7.0 + i)),
        )
        assert torch.equal(forward(graphed, x, deep=full), forward(Net(), x, deep=DeepFeatures(1)))
        assert full.value is not None
        assert torch.equal(full.value, 10 * x)
        assert torch.equal(
            forward(graphed, x, deep=taken), forward(Net(), x, deep=DeepFeatures(1, taken.value))
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
    graphed = CapturedForward(net, notes.append, record)
    for i in range(5):
        for rows in (2, 4):
            x = torch.full((rows, 3), float(i))
            assert torch.equal(forward(graphed, x), forward(Net(), x))
    assert notes == [f"the network is not replayed as a CUDA graph ({reason}); it runs as usual, slower"]
    assert record.recorded == 1


def test_another_reference_is_computed() -> None:
    record, net = Recorder(), Net()
    graphed = CapturedForward(net, print, record)
    for _ in range(3):
        forward(graphed, torch.ones(2, 3))
    before = record.replays
    graphed(torch.ones(2, 3), torch.tensor(1), reference=ReferenceKV({}), audio=torch.ones(2), frames=2)
    assert record.replays == before


def test_rounding_agrees_and_other_numbers_do_not() -> None:
    x = torch.randn(100)
    assert agree(x + 1e-4, x)
    assert not agree(x.roll(1), x)
    assert not agree(x * float("nan"), x)


def test_an_empty_graph_is_seen_through() -> None:
    """Recorded on the wrong stream, the net is computed once, right, into its results; replaying is idle."""
    notes = list[str]()
    graphed = CapturedForward(Net(), notes.append, lambda run: (lambda: None, run()))
    for i in range(4):
        x = torch.full((2, 3), float(i))
        assert torch.equal(forward(graphed, x), forward(Net(), x))
    assert len(notes) == 1
    assert "its numbers differ" in notes[0]


def test_a_graph_that_lacks_deep_features_is_refused() -> None:
    class Half(Recorder):
        def __call__(self, run: Callable[[], list[Tensor]]) -> tuple[Callable[[], object], list[Tensor]]:
            results = [result.clone() for result in run()]
            return lambda: results[0].copy_(run()[0]), results

    notes, x = list[str](), torch.ones(2, 3)
    graphed = CapturedForward(Net(), notes.append, Half())
    for _ in range(3):
        deep = DeepFeatures(1)
        forward(graphed, x, deep=deep)
        assert deep.value is not None
        assert torch.equal(deep.value, 10 * x)
    assert len(notes) == 1


def test_where_memory_runs_out_beside_the_graphs_they_go() -> None:
    class Short(Net):
        held = True

        def __call__(self, x: Tensor, *given: Any, **further: Any) -> Tensor:
            if self.held and len(x) == 4:
                self.held = False  # next time there is room
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return super().__call__(x, *given, **further)

    notes, record = list[str](), Recorder()
    graphed = CapturedForward(Short(), notes.append, record)
    for rows in (2, 2, 2, 4, 2, 4):
        x = torch.ones(rows, 3)
        assert torch.equal(forward(graphed, x), forward(Net(), x))
    assert record.replays == 2
    assert [note for note in notes if "memory ran out beside it" in note] == notes
    assert len(notes) == 1
    with pytest.raises(torch.cuda.OutOfMemoryError):
        forward(CapturedForward(Short(), print, Recorder()), torch.ones(4, 3))


class Cuda:
    """Stands in for ``torch.cuda``: keeps what capturing leaves behind when ``fails`` says where it fails."""

    def __init__(self, patch: pytest.MonkeyPatch, fails: str = "") -> None:
        self.fails, self.device, self.stream, self.pools = fails, 0, "default", list[Any]()
        self.generators, self.states, self.log = (self, self), ["own 0", "own 1"], list[str]()
        for name, value in {
            "graph_pool_handle": lambda: "pool",
            "synchronize": lambda: None,
            "empty_cache": lambda: None,
            "current_device": lambda: self.device,
            "Stream": lambda: f"side {self.device}",
            "device": lambda device: self._set("device", device.index),
            "stream": lambda stream: self._set("stream", stream),
            "CUDAGraph": lambda: self,
            "default_generators": self.generators,
        }.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(captured, "_streams", {})
        patch.setattr(torch._C, "_cuda_endAllocateToPool", self._end_pool, raising=False)

    @contextmanager
    def _set(self, name: str, value: Any) -> Iterator[None]:
        before = getattr(self, name)
        setattr(self, name, value)
        try:
            yield
        finally:
            setattr(self, name, before)

    def capture_begin(self, pool: str, capture_error_mode: str) -> None:
        assert captured._recording.locked()
        self.log.append(f"{self.stream}, {self.states[self.device]}, {capture_error_mode}")
        self.pools.append((self.device, pool))
        if self.fails == "begin":
            raise RuntimeError("begin failed")

    def capture_end(self) -> None:
        self.log.append("end")
        if self.fails == "end":
            raise RuntimeError("end failed")
        self._end_pool(self.device, "pool")

    def _end_pool(self, device: int, pool: str) -> None:
        if (device, pool) not in self.pools:
            raise RuntimeError("not currently recording")
        self.pools.remove((device, pool))

    def replay(self) -> None:
        self.log.append("replayed")

    def graphsafe_get_state(self) -> str:
        return self.states[self.device]

    def clone_state(self) -> str:
        return f"copy of {self.states[self.device]}"

    def graphsafe_set_state(self, state: str) -> None:
        self.states[self.device] = state

    @property
    def left(self) -> tuple[Any, ...]:
        """What must be as before, whatever happened."""
        return self.device, self.stream, self.pools, self.states, captured._recording.locked()


UNTOUCHED: tuple[Any, ...] = (0, "default", [], ["own 0", "own 1"], False)


def test_every_device_records_on_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's default stream for it is on the first device: on the second it would record nothing."""
    cuda = Cuda(monkeypatch)
    for index in (1, 0, 1):
        replay, results = captured.cuda_graph(torch.device("cuda", index))(lambda: [torch.ones(1)])
        replay()
        assert len(results) == 1
        assert cuda.log == [f"side {index}, copy of own {index}, thread_local", "end", "replayed"]
        cuda.log.clear()
    assert cuda.left == UNTOUCHED


@pytest.mark.parametrize("error", [RuntimeError("inside"), TypeError(""), KeyboardInterrupt()])
@pytest.mark.parametrize("fails", ["begin", "", "end"])
def test_a_capture_that_fails_leaves_nothing_behind(
    fails: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = Cuda(monkeypatch, fails)

    def run() -> list[Tensor]:
        raise error

    with pytest.raises((RuntimeError, TypeError, KeyboardInterrupt)):
        captured.cuda_graph(torch.device("cuda", 1))(run)
    assert cuda.log[1:] == ([] if fails == "begin" else ["end"])
    assert cuda.left == UNTOUCHED


@pytest.mark.parametrize("error", [TypeError("missing"), AttributeError(""), AssertionError()])
def test_any_failure_of_recording_is_survived(error: Exception) -> None:
    class Failing(Recorder):
        def __call__(self, run: Callable[[], list[Tensor]]) -> tuple[Callable[[], object], list[Tensor]]:
            raise error

    notes = list[str]()
    graphed = CapturedForward(Net(), notes.append, Failing())
    for _ in range(3):
        assert torch.equal(forward(graphed, torch.ones(2, 3)), forward(Net(), torch.ones(2, 3)))
    assert len(notes) == 1
    assert str(error) in notes[0]
