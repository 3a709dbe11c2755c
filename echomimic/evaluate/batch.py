"""Many videos at once: a folder or a manifest in, one row per video out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from echomimic.errors import EchoMimicError, InputError
from echomimic.evaluate.metrics import METRICS, Metric
from echomimic.evaluate.result import Evaluation
from echomimic.evaluate.run import OwnNets, evaluate
from echomimic.progress import Report, say, silent

VIDEOS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v")
_SOUNDS = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_MANIFESTS = (".csv", ".jsonl")


@dataclass(frozen=True)
class BatchItem:
    """One video and what it is to be compared with."""

    video: Path
    speech: Path | None = None
    portrait: Path | None = None
    reference: Path | None = None


@dataclass(frozen=True)
class VideoRow:
    """What came of one video: its evaluation, or the one line that says why there is none."""

    item: BatchItem
    evaluation: Evaluation | None
    error: str = ""


@dataclass(frozen=True)
class Summary:
    """One figure over many videos: how many have it, mean, least, most,
    and the share in the good range (or None)."""

    metric: Metric
    count: int
    mean: float
    least: float
    most: float
    good: float | None


def is_batch(path: Path) -> bool:
    """Whether this names many videos: a folder or a manifest."""
    return path.is_dir() or path.suffix.lower() in _MANIFESTS


def items_in(path: Path, shared: BatchItem | None = None) -> list[BatchItem]:
    """The videos of a folder or a manifest; what an item has not of its own, it has from `shared`.

    Folder: every video in it, by name; beside `talk.mp4` a `talk.wav` (flac, …) is its speech, `talk.png`
    (jpg, …) its portrait, `talk.reference.mp4` its reference. Manifest: a `.csv` with a header, or a
    `.jsonl`, with the fields video, speech, portrait, reference; paths are relative to it. Raises InputError.
    """
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; give a video, a folder, or a manifest (.csv, .jsonl)"
        )
    items = _in_folder(path) if path.is_dir() else _in_manifest(path)
    if not items:
        kinds = ", ".join(VIDEOS)
        raise InputError(f"{path} names no videos; put videos there ({kinds}), or rows with a field 'video'")
    return [_completed(item, shared) for item in items]


def _completed(item: BatchItem, shared: BatchItem | None) -> BatchItem:
    if shared is None:
        return item
    return BatchItem(**{f.name: getattr(item, f.name) or getattr(shared, f.name) for f in fields(BatchItem)})


def _in_folder(folder: Path) -> list[BatchItem]:
    videos = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEOS and not p.name.startswith("."))
    return [
        BatchItem(
            video,
            _beside(video, _SOUNDS),
            _beside(video, _PICTURES),
            _beside(video, tuple(f".reference{suffix}" for suffix in VIDEOS)),
        )
        for video in videos
        if not video.stem.endswith(".reference")
    ]


def _beside(video: Path, endings: Sequence[str]) -> Path | None:
    candidates = (video.with_name(video.stem + ending) for ending in endings)
    return next((path for path in candidates if path.is_file()), None)


def _in_manifest(path: Path) -> list[BatchItem]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(_csv_rows(text)) if path.suffix.lower() == ".csv" else list(_json_rows(text))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a manifest ({error}); write it as CSV or JSON lines"
        ) from None
    return [_item(row, path, number) for number, row in enumerate(rows, 1)]


def _csv_rows(text: str) -> Iterator[Mapping[str, object]]:
    yield from csv.DictReader(io.StringIO(text))


def _json_rows(text: str) -> Iterator[Mapping[str, object]]:
    for line in text.splitlines():
        if line.strip():
            row = json.loads(line)
            yield row if isinstance(row, dict) else {"": row}


def _item(row: Mapping[str, object], manifest: Path, number: int) -> BatchItem:
    known = [f.name for f in fields(BatchItem)]
    strange = [str(name) for name in row if name not in known]
    if strange or not row.get("video"):
        told = f"an unknown field {strange[0]!r}" if strange else "no video"
        raise InputError(f"{manifest}, row {number} has {told}; use only {', '.join(known)}")
    paths = {name: manifest.parent / str(row[name]) if row.get(name) else None for name in known}
    return BatchItem(**{name: path for name, path in paths.items() if path is not None})


def evaluate_all(
    items: Sequence[BatchItem], nets: OwnNets | None = None, report: Report = silent
) -> Iterator[VideoRow]:
    """One row per video, as they are done; a video that cannot be read becomes a row with its error."""
    for number, item in enumerate(items):
        say(report, f"{number + 1} of {len(items)}: {item.video.name}")
        try:
            given = {f.name: getattr(item, f.name) for f in fields(BatchItem) if f.name != "video"}
            yield VideoRow(item, evaluate(item.video, nets=nets, report=report, **given))
        except EchoMimicError as error:
            yield VideoRow(item, None, str(error))


def summarise(rows: Sequence[VideoRow]) -> list[Summary]:
    """Every figure that some video has, in the order of the table."""
    done = [row.evaluation for row in rows if row.evaluation is not None]
    summaries = []
    for metric in METRICS:
        found = [e[metric.name] for e in done if any(f.name == metric.name for f in e.figures)]
        values = np.array([value for value in found if value is not None])
        if len(values):
            verdicts = [metric.verdict(float(value)) for value in values]
            good = None if not any(verdicts) else verdicts.count("good") / len(values)
            mean, least, most = float(values.mean()), float(values.min()), float(values.max())
            summaries.append(Summary(metric, len(values), mean, least, most, good))
    return summaries


def to_csv(rows: Sequence[VideoRow]) -> str:
    """A table with one line per video: what it is, every figure (empty when not measured),
    its error if it has one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "seconds", "fps", *(m.name for m in METRICS), "worst", "error"])
    for row in rows:
        e = row.evaluation
        if e is None:
            writer.writerow([row.item.video, "", "", *("" for _ in METRICS), "", row.error])
            continue
        values = {figure.name: figure.value for figure in e.figures}
        cells = ["" if values.get(m.name) is None else f"{values[m.name]:.6g}" for m in METRICS]
        worst = "; ".join(f"{m.seconds:.2f} s {m.title}" for m in e.worst)
        writer.writerow([row.item.video, f"{e.seconds:.3f}", f"{e.fps:g}", *cells, worst, ""])
    return text.getvalue()
