"""One row: is it done already, and if not, render it. Runs in this process or in a worker's."""

import json
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from echomimic import engine, flow
from echomimic.batch.manifest import ManifestRow, engine_key
from echomimic.batch.places import Folder, digest_of, fetch, is_remote
from echomimic.engine import Engine
from echomimic.errors import EchoMimicError
from echomimic.preview.engine import PreviewEngine
from echomimic.progress import Report
from echomimic.request import Request
from echomimic.version import VERSION

DONE, SKIPPED, FAILED, REFUSED, SET_ASIDE, STOPPED = (
    "done",
    "skipped",
    "failed",
    "refused",
    "set aside",
    "stopped",
)
GOOD = (DONE, SKIPPED)


class BatchStopped(BaseException):
    """Raised out of a progress report to stop a row;
    not an :class:`Exception`, so that nobody takes it for a fault."""


@dataclass(frozen=True)
class Outcome:
    """What became of a row: ``state`` is one of the words above; ``reason`` says why it is not done."""

    line: int
    id: str
    state: str
    reason: str = ""
    kind: str = ""
    frames: int = 0
    seconds: float = 0.0
    took: float = 0.0
    node: str = ""
    attempts: int = 1
    notes: tuple[str, ...] = ()


@dataclass
class BatchWork:
    """Renders rows into ``folder``, keeping the last engine loaded. ``cache`` holds what was fetched.

    ``cores`` are those that this worker has to itself beside others of its machine; None: all there are.
    """

    folder: Folder
    cache: Path
    overwrite: bool = False
    cores: int | None = None
    _loaded: tuple[tuple[Any, ...], Engine] | None = None

    def render(self, row: ManifestRow, report: Report) -> Outcome:
        """The row's outcome; raises only :class:`Stopped` (from ``report``) and what ends the process."""
        began = time.monotonic()
        try:
            return self._render(row, report, began)
        except EchoMimicError as error:
            return self._failed(row, error, began)
        except MemoryError:
            return self._failed(row, MemoryError("out of memory; lower --size, or use fewer workers"), began)
        except Exception as error:  # a fault of ours in one row must not take the others with it
            fault = f"fault in this program: {type(error).__name__}: {error}"
            return replace(self._failed(row, error, began), reason=" ".join(fault.split()))

    def _failed(self, row: ManifestRow, error: Exception, began: float) -> Outcome:
        reason, took = " ".join(str(error).split()), round(time.monotonic() - began, 2)
        return Outcome(
            row.line, row.id, FAILED, reason, type(error).__name__, took=took, node=socket.gethostname()
        )

    def _render(self, row: ManifestRow, report: Report, began: float) -> Outcome:
        places = {role: self._local(place) for role, place in row.inputs}
        digest = digest_of_row(row, places)
        if (known := self._known(row, digest)) is not None:
            return known
        output = self.folder.local(row.output)
        request = Request(
            Path(places["portrait"]),
            Path(places["speech"]),
            output,
            places.get("driver", "auto"),
            **{**row.request_values, "overwrite": self._may_replace(row, digest)},
        )
        self.folder.write(f".{row.id}.claim", digest.encode())
        settings = row.settings
        result = flow.run(request, settings, report, self._engine(row, report))
        self.folder.publish(row.output)
        took = round(time.monotonic() - began, 2)
        node = socket.gethostname()
        outcome = Outcome(
            row.line, row.id, DONE, "", "", result.frames, result.seconds, took, node, 1, result.notes
        )
        self.folder.write(sidecar(row), _sidecar(row, digest, outcome))
        self.folder.remove(f".{row.id}.claim")
        return outcome

    def _local(self, place: str) -> str:
        return str(fetch(place, self.cache)) if is_remote(place) else place

    def _known(self, row: ManifestRow, digest: str) -> Outcome | None:
        """The outcome of a row that an earlier run finished (or that must not be replaced); None when it is
        to do."""
        if self.overwrite:
            return None
        facts = read_sidecar(self.folder, row)
        if not self.folder.exists(row.output):
            return None if facts or self._may_replace(row, digest) else self._foreign_record(row)
        if facts is None:
            if self._may_replace(row, digest):
                return None
            reason = f"{row.output} is there, but not from this batch; give --overwrite, or another id"
            return Outcome(row.line, row.id, REFUSED, reason, "OutputError")
        if facts.get("digest") != digest:
            reason = (
                f"{row.output} was made from other inputs, options or version; "
                "give --overwrite, or another id"
            )
            return Outcome(row.line, row.id, REFUSED, reason, "OutputError")
        return Outcome(row.line, row.id, SKIPPED, "", "", int(facts["frames"]), float(facts["seconds"]))

    def _foreign_record(self, row: ManifestRow) -> Outcome | None:
        """The refusal when the name of the row's record is taken by something else."""
        if not self.folder.exists(name := sidecar(row)):
            return None
        reason = f"{name} is there, but not from this batch; give --overwrite, or another id"
        return Outcome(row.line, row.id, REFUSED, reason, "OutputError")

    def _may_replace(self, row: ManifestRow, digest: str) -> bool:
        """Asked for, or a run of the very same row was killed between the video and its record."""
        return self.overwrite or self.folder.read(f".{row.id}.claim") == digest.encode()

    def _engine(self, row: ManifestRow, report: Report) -> Engine:
        key = engine_key(row.settings)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # the old weights go before the new ones come
            self._loaded = key, self._on_own_cores(engine.load(row.settings.resolved(), report))
        return self._loaded[1]

    def _on_own_cores(self, loaded: Engine) -> Engine:
        """The preview draws on as many threads as the worker has cores, so that workers do not fight."""
        if self.cores is not None and isinstance(loaded, PreviewEngine):
            loaded.threads = self.cores
        return loaded


def sidecar(row: ManifestRow) -> str:
    """Name of the row's record, written when the video is in place: the record is what makes a row done."""
    return f"{row.id}.json"


def read_sidecar(folder: Folder, row: ManifestRow) -> dict[str, Any] | None:
    """The row's record, None when there is none that can be read."""
    try:
        facts = json.loads(folder.read(sidecar(row)) or b"")
    except (ValueError, RecursionError):
        return None
    good = isinstance(facts, dict) and {"digest", "frames", "seconds"} <= facts.keys()
    return facts if good else None


def digest_of_row(row: ManifestRow, places: dict[str, str]) -> str:
    """Of everything that the row's frames depend on: options, contents of the inputs, and the version."""
    contents = {
        role: place if role == "driver" and place in ("auto", "none") else digest_of(Path(place))
        for role, place in sorted(places.items())
    }
    values = [(k, str(v)) for k, v in row.values]
    return digest_text(json.dumps([VERSION, Path(row.output).suffix, contents, values]))


def digest_text(text: str) -> str:
    """SHA-256 of a text, hex."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _sidecar(row: ManifestRow, digest: str, outcome: Outcome) -> bytes:
    inputs = dict(row.inputs)
    options = {k: str(v) if isinstance(v, Path) else v for k, v in row.values}
    facts = {"digest": digest, "version": VERSION, "output": row.output, "inputs": inputs, "options": options}
    return (json.dumps(facts | asdict(outcome), indent=1, ensure_ascii=False) + "\n").encode()
