"""Who renders the rows: this process, or Ray's actors.
A pool takes rows while it has room and gives outcomes back."""

import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from echomimic.batch.manifest import ManifestRow
from echomimic.batch.work import STOPPED, BatchStopped, BatchWork, Outcome
from echomimic.progress import Progress


@dataclass(frozen=True)
class Lost:
    """A row whose worker died under it."""

    row: ManifestRow
    reason: str


class Pool(Protocol):
    """Renders rows side by side."""

    def has_room(self, row: ManifestRow) -> bool:
        """Whether a worker for ``row`` is free."""
        ...

    def start(self, row: ManifestRow) -> None:
        """Gives ``row`` to a free worker."""
        ...

    def wait(self, seconds: float) -> list[Outcome | Lost]:
        """What ended within ``seconds``; comes back as soon as something did."""
        ...

    def stages(self) -> dict[str, Progress]:
        """What each running row last reported, by id."""
        ...

    def stop(self) -> None:
        """Stops the running rows; they end as ``stopped``."""
        ...

    def close(self) -> None:
        """Ends the workers."""
        ...


class LocalPool:
    """One row at a time in a thread of this process, so that the main thread stays free for Ctrl-C."""

    def __init__(self, work: BatchWork) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._running: Future[None] | None = None
        self._ended: queue.Queue[Outcome | Lost] = queue.Queue()
        self._stage: dict[str, Progress] = {}
        self._stopping = threading.Event()

    def has_room(self, row: ManifestRow) -> bool:
        """One at a time, whatever the row."""
        return self._running is None or self._running.done()

    def start(self, row: ManifestRow) -> None:
        """Renders ``row`` in the thread."""
        self._running = self._thread.submit(self._run, row)

    def _run(self, row: ManifestRow) -> None:
        def report(progress: Progress) -> None:
            if self._stopping.is_set():
                raise BatchStopped
            self._stage = {row.id: progress}

        try:
            self._ended.put(self._work.render(row, report))
        except BatchStopped:
            self._ended.put(Outcome(row.line, row.id, STOPPED))
        except BaseException as error:  # the main thread would wait for ever
            self._ended.put(Lost(row, f"{type(error).__name__}: {error}"))
        finally:
            self._stage = {}

    def wait(self, seconds: float) -> list[Outcome | Lost]:
        """At most one outcome."""
        try:
            ended = self._ended.get(timeout=seconds)
        except queue.Empty:
            return []
        if self._running is not None:
            self._running.result()
        return [ended]

    def stages(self) -> dict[str, Progress]:
        """Of the running row."""
        return dict(self._stage)

    def stop(self) -> None:
        """The row ends at its next report."""
        self._stopping.set()

    def close(self) -> None:
        """Waits for the thread."""
        self._thread.shutdown(wait=True)
