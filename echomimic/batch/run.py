"""The batch on one screen: rows go to a pool while it has room, outcomes come back, a report is written."""

import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from echomimic.batch.manifest import ManifestRow, Refusal
from echomimic.batch.places import Folder
from echomimic.batch.pool import Lost, Pool
from echomimic.batch.work import FAILED, GOOD, REFUSED, SET_ASIDE, STOPPED, Outcome
from echomimic.media.output import claimed
from echomimic.progress import Progress
from echomimic.version import VERSION

# Seconds between two looks at what the workers report.
_TICK = 0.25

# A row that took this many workers down with it is set aside.
_KILLS = 2


@dataclass
class State:
    """Where a batch stands, for whoever shows it."""

    total: int
    outcomes: list[Outcome] = field(default_factory=list)
    stages: dict[str, Progress] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    draining: bool = False

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at the rate so far; None before the first video."""
        made = sum(outcome.state == "done" for outcome in self.outcomes)
        rest = self.total - len(self.outcomes)
        return (time.monotonic() - self.began) / made * rest if made else None


Show = Callable[[State], None]


def run_batch(
    rows: list[ManifestRow],
    refused: list[Refusal],
    pool: Pool,
    *,
    retries: int = 2,
    now: bool = False,
    show: Show = lambda _: None,
) -> State:
    """Renders ``rows`` in ``pool``; the outcomes of all rows, also the refused ones.

    ``KeyboardInterrupt`` is taken as "finish what is running" (or stop it, with ``now`` or at the second
    one).
    """
    state = State(len(rows) + len(refused))
    state.outcomes += [Outcome(r.line, r.id, REFUSED, r.reason, "ManifestError") for r in refused]
    todo, attempts, running = deque(rows), Counter[str](), set[str]()
    while todo or running:
        try:
            while todo and not state.draining and pool.has_room(todo[0]):
                row = todo.popleft()
                running.add(row.id)
                attempts[row.id] += 1
                pool.start(row)
            for ended in pool.wait(_TICK):
                running.discard(ended.row.id if isinstance(ended, Lost) else ended.id)
                _take(ended, state, todo, attempts, retries)
            state.stages = pool.stages()
            show(state)
        except KeyboardInterrupt:
            if now or state.draining:
                pool.stop()
            state.draining = True
        if state.draining and not running:
            break
    state.outcomes += [Outcome(row.line, row.id, STOPPED, "not started") for row in todo]
    state.outcomes.sort(key=lambda outcome: outcome.line)
    return state


def _take(
    ended: Outcome | Lost, state: State, todo: deque[ManifestRow], attempts: Counter[str], retries: int
) -> None:
    """An outcome is kept; a lost row is tried again, or set aside when it took too many workers with it."""
    if isinstance(ended, Outcome):
        state.outcomes.append(replace(ended, attempts=attempts[ended.id]))
        return
    row, tries = ended.row, attempts[ended.row.id]
    if state.draining:
        state.outcomes.append(Outcome(row.line, row.id, STOPPED, ended.reason, attempts=tries))
    elif tries >= _KILLS and tries > retries:
        reason = f"its worker died {tries} times ({ended.reason}); look at the row, then run the same again"
        state.outcomes.append(Outcome(row.line, row.id, SET_ASIDE, reason, "Crash", attempts=tries))
    elif tries > retries:
        state.outcomes.append(Outcome(row.line, row.id, FAILED, ended.reason, "Crash", attempts=tries))
    else:
        todo.appendleft(row)


def report_of(state: State) -> dict[str, object]:
    """The batch as JSON: counts by state, and every row."""
    counts = Counter(outcome.state for outcome in state.outcomes)
    took = round(time.monotonic() - state.began, 2)
    return {
        "version": VERSION,
        "took": took,
        "counts": dict(counts),
        "rows": [asdict(o) for o in state.outcomes],
    }


def succeeded(state: State) -> bool:
    """Whether every row has its video."""
    return all(outcome.state in GOOD for outcome in state.outcomes)


def write_report(state: State, folder: Folder, name: str) -> None:
    """``report.json`` in the folder of results."""
    folder.write(name, (json.dumps(report_of(state), indent=1, ensure_ascii=False) + "\n").encode())


@contextlib.contextmanager
def alone_in(folder: Folder, report: str) -> Iterator[None]:
    """While it lasts, no other batch (of the same shard) writes into a local folder: its ``report`` is
    claimed.

    Raises :class:`OutputError` when another does. The claim ends with the process, however that ends.
    """
    if folder.remote:
        yield
        return
    with claimed(Path(folder.place) / report):
        yield
