"""One video on several machines: torchrun starts a process on each, and they share the windows of every step.

Every process ("rank") reads the inputs, has the networks and draws the same noise. Only predictions travel
(0.8 MB per window of 512 × 512); each rank blends all of them in the plan's order, so each has the latents of
the whole video, bit for bit those of one process. Rank 0 keeps the state, decodes and writes.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from echomimic.diffusion.crew import Crew, Predict, Task
from echomimic.errors import EchoMimicError, ResourceError, SettingsError
from echomimic.ranks import Ranks
from echomimic.request import Settings

# A rank that is waited for may still load its networks, or predict on a slow processor.
_LONGEST = datetime.timedelta(hours=6)
# How long a helper waits for rank 0 to say what went wrong: rank 0 notices after its own window.
_PATIENCE = datetime.timedelta(minutes=10)
# Seconds in which rank 0's line reaches the terminal; torchrun ends all when the first one ends.
_GRACE = 1.0
_FAILED, _TOLD = "failed", "told"


class TogetherError(EchoMimicError):
    """A helper's end because of an error that rank 0 tells the user; there is nothing to add to it."""


class _PeerLost(Exception):
    """Another rank left."""


class Exchange:
    """What the ranks of one video tell each other. ``store`` outlives a rank that fails."""

    def __init__(self, ranks: Ranks, store: Any) -> None:
        self.rank, self.count, self._store = ranks.rank, ranks.count, store

    def gather(self, own: Tensor) -> list[Tensor]:
        """Every rank's ``own``, by rank; all have one shape. They arrive where ``own`` lies."""
        found = [torch.empty_like(own) for _ in range(self.count)]
        if own.is_cuda:  # NCCL would wait for ever for a rank that left; gloo notices
            self.meet()
        self._with_all(lambda: dist.all_gather(found, own.contiguous()))
        return found

    def first(self, value: Any) -> Any:
        """Rank 0's ``value``."""
        box = [value]
        self._with_all(lambda: dist.broadcast_object_list(box, src=0, device=torch.device("cpu")))
        return box[0]

    def agree(self, job: Mapping[str, str]) -> None:
        """Raises :class:`SettingsError` where a rank was given another job than rank 0."""
        wanted = self.first(dict(job))
        other = sorted(key for key in wanted.keys() | job.keys() if wanted.get(key) != job.get(key))
        if other:
            remedy = "give all of them the same files, options and version"
            raise SettingsError(f"another {', '.join(other)} than process 0 has; {remedy}")

    def meet(self) -> None:
        """Waits for all: from here on a rank may leave."""
        here = torch.zeros(1, dtype=torch.int64)
        self._with_all(lambda: dist.all_reduce(here))

    def _with_all(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RuntimeError as error:
            raise _PeerLost(str(error)) from None

    def failed(self, error: BaseException) -> BaseException:
        """Lets all ranks know of an error of this one, or learns of another's; what is to be raised."""
        lost = isinstance(error, _PeerLost)
        if not lost:
            self._note(_FAILED, json.dumps([self.rank, _words(error)]))
        dist.destroy_process_group()  # whoever waits for this rank now learns that it is gone
        if self.rank:
            return self._after_told(error)
        told = self._what_failed() if lost else error
        self._note(_TOLD, "1")
        return told

    def _after_told(self, error: BaseException) -> BaseException:
        """A helper's error is told by rank 0; only if that is gone, by itself."""
        try:
            self._store.wait([_TOLD], _PATIENCE)
        except RuntimeError:
            return self._what_failed() if isinstance(error, _PeerLost) else error
        time.sleep(_GRACE)
        return TogetherError(_words(error))

    def _what_failed(self) -> BaseException:
        try:
            self._store.wait([_FAILED], datetime.timedelta(seconds=5))
            rank, fault = json.loads(self._store.get(_FAILED))
        except RuntimeError:
            remedy = "run the same again, and it goes on"
            return ResourceError(f"another process of this video was killed or lost its connection; {remedy}")
        return ResourceError(f"process {rank} (this is 0): {fault}")

    def _note(self, name: str, text: str) -> None:
        with contextlib.suppress(RuntimeError):
            if not self._store.check([name]):
                self._store.set(name, text)


def _words(error: BaseException) -> str:
    if isinstance(error, EchoMimicError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextlib.contextmanager
def join_ranks(ranks: Ranks) -> Iterator[Exchange]:
    """While it lasts, this process works with the others. An error of one ends all; rank 0 raises it, its
    helpers :class:`TogetherError`.

    Raises :class:`ResourceError` when the others cannot be reached.
    """
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.local % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    try:
        store, rank, count = next(iter(rendezvous("env://", timeout=_LONGEST)))
        own = dist.PrefixStore(  # type: ignore[attr-defined, unused-ignore]
            f"echomimic/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store
        )
        dist.init_process_group(backend, store=own, rank=rank, world_size=count, timeout=_LONGEST)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ResourceError(
            f"the processes of torchrun do not reach each other ({reason}); check --rdzv-endpoint"
        ) from None
    exchange = Exchange(ranks, own)
    try:
        yield exchange
    except BaseException as error:
        raise exchange.failed(error) from None
    dist.destroy_process_group()


def on_own_device(settings: Settings, ranks: Ranks) -> Settings:
    """Each process of a machine takes the GPU of its number there, unless the user named devices."""
    if settings.devices or settings.device not in ("auto", "cuda") or not torch.cuda.is_available():
        return settings
    return dataclasses.replace(settings, devices=f"cuda:{ranks.local % torch.cuda.device_count()}")


class SharedCrew(Crew):
    """The devices of all ranks: those of rank r predict every n-th window of a step, from the r-th on."""

    def __init__(self, predictors: Sequence[Predict], exchange: Exchange, threads: int | None = None) -> None:
        super().__init__(predictors, threads)
        self._exchange = exchange

    def predictions(self, tasks: Sequence[Task]) -> Generator[Tensor, None, None]:
        """The prediction of every task, in their order, on every rank."""
        rank, count = self._exchange.rank, self._exchange.count
        with contextlib.closing(super().predictions(tasks[rank::count])) as own:
            for start in range(0, len(tasks), count):
                group = tasks[start : start + count]
                mine = next(own) if rank < len(group) else torch.zeros_like(group[0][0])
                yield from self._exchange.gather(mine)[: len(group)]
