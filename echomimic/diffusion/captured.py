"""The denoiser as a CUDA graph: recorded once for each shape of its inputs, then replayed by one call.

A forward is some thousand kernels. Handing them over takes a processor about as long as a fast card needs to
run them; replaying a graph takes it a millisecond. The numbers are those of the recorded kernels.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from echomimic.models.attention import ReferenceKV
from echomimic.models.unet import DeepFeatures

_LOG = logging.getLogger(__package__)

Record: TypeAlias = Callable[[Callable[[], list[Tensor]]], tuple[Callable[[], object], list[Tensor]]]
"""Runs a function once while recording it → what replays it, and the tensors that then hold its results."""


def cuda_graph(device: torch.device) -> Record:
    """Records CUDA graphs, whose memory is shared: only one of them may be at work at a time."""
    shared = torch.cuda.graph_pool_handle()

    def record(run: Callable[[], list[Tensor]]) -> tuple[Callable[[], object], list[Tensor]]:
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(device),
            torch.cuda.graph(graph, pool=shared, capture_error_mode="thread_local"),
        ):
            results = run()
        return graph.replay, results

    return record


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
    serves one video. When recording fails, or its result is not that of the net, the net is called as usual
    from then on, and ``note`` is told once. ``check`` compares the first replay of every graph.
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
        computed: Tensor = forward(x, t, deep=deep, **given) if deep else forward(x, t, **given)
        self._reference = self._reference or reference
        if not self.off and key in self._graphs and reference is self._reference:
            self._graphs[key] = self._checked(forward, read, dict(plain), deep, computed)
        self._graphs.setdefault(key, None)
        return computed

    def _checked(
        self,
        forward: Callable[..., Tensor],
        read: dict[str, Tensor],
        plain: dict[str, Any],
        deep: DeepFeatures | None,
        computed: Tensor,
    ) -> Recorded | None:
        """The graph of a call, if recording works and gives what was ``computed``; else that was the last
        try."""
        layers = None if deep is None else deep.layers
        try:
            graph = self._recorded(forward, read, plain, layers)
            if self._check(_replayed(graph, read, None), computed):
                return graph
            reason = "its numbers differ"
        except RuntimeError as error:
            reason = (str(error).splitlines() or ["?"])[0][:200]
        self.off = True
        self._graphs = dict.fromkeys(self._graphs)
        self._note(f"the network is not replayed as a CUDA graph ({reason}); it runs as usual, slower")
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
