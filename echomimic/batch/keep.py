"""What a batch must not replace: an input of any of its rows, its list, and files that are not its own."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from echomimic.batch.manifest import ManifestRow, Refusal
from echomimic.batch.places import Folder, is_remote
from echomimic.batch.work import sidecar
from echomimic.errors import OutputError

# Device and number of a file, the same by every name and link.
_Identity = tuple[int, int]


def refuse_lost_inputs(
    rows: list[ManifestRow], folder: Folder, manifest: str
) -> tuple[list[ManifestRow], list[Refusal]]:
    """The rows that may be rendered, and those whose video or record would replace an input of the batch.

    A row's own inputs are looked at again when it is rendered; here it is about those of all others.
    """
    if folder.remote:
        return rows, []
    inputs = _with_parents(_local_inputs(rows, manifest))
    kept, refused = [], []
    for row in rows:
        names = (row.output, sidecar(row))
        lost = next((n for n in names if _identity(Path(folder.place) / n) in inputs), None)
        if lost is None:
            kept.append(row)
            continue
        reason = f"{lost} is an input of this batch; inputs are never replaced, choose another id or folder"
        refused.append(Refusal(row.line, row.id, reason))
    return kept, refused


def check_report(folder: Folder, name: str, manifest: str, overwrite: bool) -> None:
    """Raises :class:`OutputError` when the report would replace the list, or a file that is no report."""
    there = None if overwrite else folder.read(name)
    if there is not None and not _is_report(there):
        raise OutputError(
            f"{folder.place}/{name} is no report of a batch; move it, or give --overwrite to replace it"
        )
    path = Path(folder.place) / name
    if not folder.remote and _identity(path) in _with_parents([Path(manifest)]):
        raise OutputError(f"{path} is an input too; inputs are never replaced, choose another folder")


def _is_report(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"version", "counts", "rows"} <= found.keys()


def _local_inputs(rows: Iterable[ManifestRow], manifest: str) -> set[Path]:
    given = {place for row in rows for _, place in row.inputs if not is_remote(place)}
    chosen = {str(value) for row in rows for _, value in row.values if isinstance(value, Path)}
    return {Path(manifest), *map(Path, given | chosen)}


def _with_parents(paths: Iterable[Path]) -> set[_Identity | None]:
    folders: set[Path] = set()
    found: set[_Identity | None] = set()
    for path in paths:
        if (identity := _identity(path)) is not None:
            found.add(identity)
            folders.update(Path(os.path.realpath(path)).parents)
    return (found | {_identity(folder) for folder in folders}) - {None}


def _identity(path: Path) -> _Identity | None:
    """None when there is nothing of this name."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino
