"""The denoiser as a CUDA graph: recorded once for each shape of its inputs, then replayed by one call.

A forward is some thousand kernels. Handing them over takes a processor about as long as a fast card needs to
run them; replaying a graph takes it a millisecond. The numbers are those of the recorded kernels.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from echomimic.diffusion.placement import out_of_memory
from echomimic.models.attention import ReferenceKV
from echomimic.models.unet import DeepFeatures

_LOG = logging.getLogger(__package__)

Record: TypeAlias = Callable[[Callable[[], list[Tensor]]], tuple[Callable[[], object], list[Tensor]]]
"""Runs a function once while recording it → what replays it, and the tensors that then hold its results."""


# Graphs are recorded one at a time in a process, on whatever device: PyTorch allows no more.
_recording = threading.Lock()

# Where graphs are recorded, a stream of each device: PyTorch's own is on the first device that asked.
_streams: dict[int, torch.cuda.Stream] = {}


def cuda_graph(device: torch.device) -> Record:
    """Records CUDA graphs, whose memory is shared: only one of them may be at work at a time."""
    pools = list[Any]()

    def record(run: Callable[[], list[Tensor]]) -> tuple[Callable[[], object], list[Tensor]]:
        graph = torch.cuda.CUDAGraph()
        with _recording, torch.cuda.device(device), _spared_generator():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            pools[:] = pools or [torch.cuda.graph_pool_handle()]
            with torch.cuda.stream(_stream()), _capture(graph, pools[0]):
                results = run()
        return graph.replay, results

    return record


def _stream() -> torch.cuda.Stream:
    """The current device's."""
    device = torch.cuda.current_device()
    if device not in _streams:
        _streams[device] = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    return _streams[device]


@contextmanager
def _capture(graph: torch.cuda.CUDAGraph, pool: Any) -> Iterator[None]:
    """What is done inside is recorded, not run. Whatever fails, the stream and the allocator do not stay in
    that state, in which nothing else could be computed."""
    try:
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            yield
        finally:
            graph.capture_end()
    except BaseException:
        # until PyTorch 2.9 an end that fails leaves this to nobody; where it was done, it says so
        with suppress(Exception):
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        raise


@contextmanager
def _spared_generator() -> Iterator[None]:
    """Inside, the device's random numbers come from a copy of the default generator.

    A capture that fails leaves the generator it met unusable ("offset increment outside graph capture"), for
    the host's other work too; the networks draw nothing.
    """
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    before = generator.graphsafe_get_state()
    generator.graphsafe_set_state(generator.clone_state())
    try:
        yield
    finally:
        generator.graphsafe_set_state(before)


def agree(replayed: Tensor, computed: Tensor) -> bool:
    """Whether a graph gives what the net gave, but for rounding; waits for the device."""
    scale = computed.float().abs().max()
    return bool((replayed.float() - computed.float()).abs().max() <= 1e-2 * scale)


@dataclass(frozen=True)
class Recorded:
    """A graph: the tensors it reads, those it writes (velocity, and deep features where they are asked for),
    and how it is replayed."""

    inputs: dict[str, Tensor]
    replay: Callable[[], object]
    results: list[Tensor]


class CapturedForward:
    """A denoiser that is recorded when it is called the second time with some shapes.

    The first call of a shape may compile kernels and allocate memory, which cannot be recorded.

    The ``reference`` has to be the same in all calls, and the weights must stay where they are: one of these
    serves one video. When recording fails, its result is not that of the net, or memory runs out beside the
    graphs, the net is called as usual from then on, and ``note`` is told once. ``check`` compares the first
    replay of every graph, deep features too.
    """

    def __init__(
        self,
        net: Callable[..., Tensor],
        note: Callable[[str], None],
        record: Record,
        check: Callable[[Tensor, Tensor], bool] = agree,
    ) -> None:
        self._net, self._note, self._record, self._check = net, note, record, check
        self._graphs: dict[Any, Recorded | None] = {}
        self._reference: ReferenceKV | None = None
        self.off = False

    def __call__(
        self, x: Tensor, t: Tensor, *, reference: ReferenceKV, deep: DeepFeatures | None = None, **given: Any
    ) -> Tensor:
        """See ``UNet.forward``. What comes back, in ``deep`` too, stays as it is at the next call."""
        forward = partial(self._net, reference=reference)
        taken = None if deep is None else deep.value
        inputs = {"x": x, "t": t, "taken": taken, **given}
        read = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
        shapes = tuple((name, tuple(value.shape), value.dtype) for name, value in read.items())
        plain = tuple((name, value) for name, value in inputs.items() if name not in read)
        key = shapes, plain, None if deep is None else deep.layers
        known = self._graphs.get(key)
        if known is not None and reference is self._reference:
            return _replayed(known, read, deep)
        computed = self._computed(partial(forward, x, t, **given), deep)
        self._reference = self._reference or reference
        if not self.off and key in self._graphs and reference is self._reference:
            left = [deep.value] if deep is not None and deep.value is not None and taken is None else []
            self._graphs[key] = self._checked(forward, read, dict(plain), deep, [computed, *left])
        self._graphs.setdefault(key, None)
        return computed

    def _computed(self, forward: Callable[..., Tensor], deep: DeepFeatures | None) -> Tensor:
        """As usual; where memory runs out, without the graphs and what they hold."""
        further = {} if deep is None else {"deep": deep}
        try:
            return forward(**further)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or not any(self._graphs.values()):
                raise
        self._stop("memory ran out beside it")
        return forward(**further)

    def _stop(self, reason: str) -> None:
        """No more graphs, for the reason given."""
        self.off = True
        self._graphs = dict.fromkeys(self._graphs)
        self._note(f"the network is not replayed as a CUDA graph ({reason}); it runs as usual, slower")

    def _checked(
        self,
        forward: Callable[..., Tensor],
        read: dict[str, Tensor],
        plain: dict[str, Any],
        deep: DeepFeatures | None,
        computed: list[Tensor],
    ) -> Recorded | None:
        """The graph of a call, if recording works and gives what was ``computed``; else that was the last
        try."""
        layers = None if deep is None else deep.layers
        try:
            graph = self._recorded(forward, read, plain, layers)
            for result in graph.results:
                result.fill_(float("nan"))  # what recording itself may have left there proves nothing
            _replayed(graph, read, None)
            if all(self._check(*pair) for pair in zip(graph.results, computed, strict=True)):
                return graph
            reason = "its numbers differ"
        except Exception as error:  # drivers, compilers and allocators each fail in ways of their own
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        self._stop(reason)
        return None

    def _recorded(
        self,
        forward: Callable[..., Tensor],
        read: dict[str, Tensor],
        plain: dict[str, Any],
        layers: int | None,
    ) -> Recorded:
        inputs = {name: torch.empty_like(value).copy_(value) for name, value in read.items()}
        fed = {name: value for name, value in {**plain, **inputs}.items() if name != "taken"}

        def run() -> list[Tensor]:
            if layers is None:
                return [forward(**fed)]
            deep = DeepFeatures(layers, inputs.get("taken"))
            velocity = forward(**fed, deep=deep)
            return [velocity] if deep.value is None or "taken" in inputs else [velocity, deep.value]

        return Recorded(inputs, *self._record(run))


def _replayed(graph: Recorded, read: dict[str, Tensor], deep: DeepFeatures | None) -> Tensor:
    for name, held in graph.inputs.items():
        held.copy_(read[name])
    graph.replay()
    velocity, *left = (result.clone() for result in graph.results)
    if deep is not None and left:
        deep.value = left[0]
    return velocity
