"""Rows on Ray: each actor holds one engine. Preview rows run on CPU actors, V1 and V2 on actors with a share
of a GPU.

An actor that dies is made anew and its row comes back as lost; whether the row is tried again, ``run``
decides. Nothing large goes through Ray: actors read inputs and write results themselves.
"""

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from echomimic.batch.manifest import ManifestRow
from echomimic.batch.places import Folder
from echomimic.batch.pool import Lost
from echomimic.batch.work import STOPPED, BatchStopped, BatchWork, Outcome
from echomimic.errors import ResourceError
from echomimic.progress import Progress

# Bytes of Ray's object store: only rows and outcomes pass through it.
_STORE = 96 * 2**20

# Cores of an actor: many clips at once use a machine better than many threads for one.
_CORES = 1

CPU, GPU = "cpu", "gpu"


class RayWorker:
    """What runs in an actor; two threads, so that it answers while it renders."""

    def __init__(self, place: str, work: str, cache: str, overwrite: bool) -> None:
        self._work = BatchWork(Folder(place, Path(work)), Path(cache), overwrite, _CORES)
        self._stage: Progress | None = None
        self._stopping = False

    def render(self, row: ManifestRow) -> Outcome:
        """The row's outcome."""

        def report(progress: Progress) -> None:
            if self._stopping:
                raise BatchStopped
            self._stage = replace(progress, preview=None)  # a picture is not for sending

        try:
            return self._work.render(row, report)
        except BatchStopped:
            return Outcome(row.line, row.id, STOPPED)

    def stage(self) -> Progress | None:
        """What the running row last reported."""
        return self._stage

    def stop(self) -> None:
        """The running row ends at its next report."""
        self._stopping = True


@dataclass
class _Actor:
    handle: Any
    kind: str
    ready: Any
    row: ManifestRow | None = None
    future: Any = None
    asked: Any = None
    stage: Progress | None = None


class RayPool:
    """Actors on a Ray cluster; ``address`` is ``local`` (a cluster of its own),
    ``auto``, or a cluster's address."""

    def __init__(
        self, address: str, make: tuple[str, str, str, bool], workers: tuple[int, int], gpus_per_job: float
    ) -> None:
        self._ray = _connect(address, workers[1])
        self._make, self._workers = make, workers
        has_gpu = self._ray.cluster_resources().get("GPU", 0) > 0
        self._gpus = gpus_per_job if gpus_per_job >= 0 else float(has_gpu)
        self._actors: list[_Actor] = []

    def has_room(self, row: ManifestRow) -> bool:
        """A free actor of the row's kind;
        asks for another one while there are fewer than the most allowed."""
        kind = _kind(row)
        if self._free(kind):
            return True
        mine = [a for a in self._actors if a.kind == kind]
        starting = any(a.row is None for a in mine)
        while len(mine) < self._workers[0] or (len(mine) < self._workers[1] and not starting):
            mine.append(self._add(kind))
            starting = True
        return False

    def _free(self, kind: str) -> _Actor | None:
        idle = [a for a in self._actors if a.kind == kind and a.row is None]
        ready = self._ray.wait([a.ready for a in idle], num_returns=1, timeout=0)[0] if idle else []
        return next((a for a in idle if a.ready in ready), None)

    def _add(self, kind: str) -> _Actor:
        gpus = self._gpus if kind == GPU else 0
        remote = self._ray.remote(RayWorker).options(
            num_cpus=_CORES, num_gpus=gpus, max_concurrency=2, max_restarts=-1
        )
        handle = remote.remote(*self._make)
        actor = _Actor(handle, kind, handle.stage.remote())
        self._actors.append(actor)
        return actor

    def start(self, row: ManifestRow) -> None:
        """Gives ``row`` to the free actor that :meth:`has_room` saw."""
        actor = self._free(_kind(row))
        assert actor is not None
        actor.row, actor.stage = row, None
        actor.future = actor.handle.render.remote(row)

    def wait(self, seconds: float) -> list[Outcome | Lost]:
        """Outcomes of rows that ended; a row whose actor died comes back as :class:`Lost`."""
        busy = {a.future: a for a in self._actors if a.row is not None}
        waiting = list(busy) or [a.ready for a in self._actors]
        if not waiting:
            return []
        ended, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        return [self._collect(busy[future]) for future in ended if future in busy]

    def _collect(self, actor: _Actor) -> Outcome | Lost:
        row, actor.row, actor.asked = actor.row, None, None
        assert row is not None
        try:
            outcome: Outcome = self._ray.get(actor.future)
        except self._ray.exceptions.RayError as error:
            self._replace(actor)
            return Lost(row, " ".join(str(error).split("\n")[0].split()) or type(error).__name__)
        return outcome

    def _replace(self, actor: _Actor) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(actor.handle)
        self._actors.remove(actor)

    def stages(self) -> dict[str, Progress]:
        """Asks the actors without waiting for them: the answers of the last time are shown."""
        for actor in self._actors:
            if actor.row is None:
                continue
            if actor.asked is None:
                actor.asked = actor.handle.stage.remote()
            elif self._ray.wait([actor.asked], timeout=0)[0]:
                with contextlib.suppress(self._ray.exceptions.RayError):
                    actor.stage = self._ray.get(actor.asked)
                actor.asked = actor.handle.stage.remote()
        return {a.row.id: a.stage for a in self._actors if a.row is not None and a.stage is not None}

    def stop(self) -> None:
        """Rows end at their next report."""
        for actor in self._actors:
            actor.handle.stop.remote()

    def close(self) -> None:
        """Ends the actors, and the cluster when it is our own."""
        for actor in self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(actor.handle)
        self._ray.shutdown()


def _kind(row: ManifestRow) -> str:
    return CPU if row.settings.variant.engine == "preview" else GPU


def _connect(address: str, workers: int) -> Any:
    # before the import: nothing is sent anywhere, and no dashboard or log flood is started
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise ResourceError(
            "--ray needs the package ray; pip install 'echomimic-studio[batch]', or --ray none"
        ) from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
    try:
        if address == "local":
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_STORE,
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ResourceError(
            f"no Ray cluster at {address} ({reason}); start one, or use --ray local"
        ) from None
    return ray
