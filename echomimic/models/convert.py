"""Official checkpoints → one folder of safetensors in the wanted precision, written tensor by tensor.

The folder holds a file per network (motion modules inside the denoiser's) and ``echomimic.json``, which says
what belongs to which model. Files several models share are written once. It appears under its name when it is
complete, or not at all.
"""

import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from echomimic.errors import OutputError, WeightsError
from echomimic.media.output import claim, disk_errors, placed, real_path
from echomimic.models import layouts
from echomimic.models.check import PARTS
from echomimic.models.layouts import CARD, WeightFiles
from echomimic.models.manifests import Shapes
from echomimic.models.networks import NETWORKS, Network
from echomimic.models.weights import LoadPlan, plan
from echomimic.progress import Progress, Report, silent
from echomimic.variants import VARIANTS
from echomimic.variants import variant as row_of

CODES: Mapping[torch.dtype, str] = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
"""Precisions that can be written, and what safetensors calls them."""


@dataclass(frozen=True, slots=True)
class Converted:
    """One written file: where, from which files, its size in bytes, and the models that use it."""

    path: Path
    sources: tuple[Path, ...]
    bytes: int
    models: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    network: Network
    name: str
    plan: LoadPlan
    sources: tuple[Path, ...]
    models: tuple[str, ...]


def convert(
    folder: Path,
    out: Path,
    variants: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    report: Report = silent,
) -> list[Converted]:
    """Convert the models in ``folder`` into the new folder ``out``.

    variants: which models; none means all that are complete in ``folder``.
    dtype: float16, bfloat16 or float32.
    overwrite: replace ``out`` if it is an earlier conversion.
    report: told about every 1 % or so, stage "convert", in MiB.

    Raises WeightsError: the weights are incomplete or damaged; nothing is written.
    Raises OutputError: ``out`` exists, cannot be written, or the disk is too small; nothing is left behind.
    """
    if dtype not in CODES:
        raise OutputError(f"cannot convert to {dtype}; choose float16, bfloat16 or float32")
    models = _models(folder, variants)
    jobs = _jobs(models)
    total = sum(_bytes(job.plan.shapes, dtype) for job in jobs)
    with _room_for(folder, out, overwrite, jobs), placed(real_path(out)) as stage:
        _check_room(out, total)
        done = 0
        for job in jobs:
            done = _write(stage / job.name, job, dtype, report, done, total)
        (stage / CARD).write_text(json.dumps(_card(jobs, dtype, models[0].networks), indent=1))
    report(Progress("convert", total >> 20, total >> 20))
    return [Converted(out / j.name, j.sources, (out / j.name).stat().st_size, j.models) for j in jobs]


def _models(folder: Path, variants: tuple[str, ...]) -> list[WeightFiles]:
    if variants:
        return [layouts.find(name, folder) for name in variants]
    names = [row.name for row in VARIANTS.values() if row.files and layouts.model_folder(row, folder)]
    if not names:
        raise WeightsError(
            f"{folder} holds no EchoMimic weights; see docs/weights.md for the layouts that are understood"
        )
    return [layouts.find(name, folder) for name in names]


def _jobs(models: list[WeightFiles]) -> list[_Job]:
    jobs: dict[tuple[str, ...], _Job] = {}
    for files in models:
        for network in NETWORKS:
            paths = tuple(dict.fromkeys(files.paths[part] for part in PARTS[network]))
            shared = network in ("vae", "whisper")
            key = (network, *(layouts.content(path) if shared else str(path) for path in paths))
            if key in jobs:
                jobs[key] = replace(jobs[key], models=(*jobs[key].models, files.variant))
            else:
                name = _name(network, files.variant, {job.name for job in jobs.values()})
                jobs[key] = _Job(network, name, plan(network, files), paths, (files.variant,))
    return list(jobs.values())


def _name(network: Network, variant: str, taken: set[str]) -> str:
    row = row_of(variant)
    if network in ("vae", "whisper"):
        name = f"{network}.safetensors"
        return f"{row.family}/{name}" if name in taken else name
    return f"{row.family}/{Path(row.files[PARTS[network][0]]).stem}.safetensors"


def _card(jobs: list[_Job], dtype: torch.dtype, networks: Mapping[str, object]) -> dict[str, object]:
    models: dict[str, dict[str, str]] = {}
    for job in jobs:
        for model in job.models:
            models.setdefault(model, {}).update(dict.fromkeys(PARTS[job.network], job.name))
    card = {"format": 1, "dtype": str(dtype).removeprefix("torch."), "models": models}
    return {**card, "networks": dict(networks)} if networks else card


@contextmanager
def _room_for(folder: Path, out: Path, overwrite: bool, jobs: list[_Job]) -> Iterator[None]:
    """Keeps ``out`` for this run, which may replace an earlier conversion, never what it reads."""
    sources = [folder, *(path for job in jobs for path in job.sources)]
    with disk_errors(out):
        empty = out.is_dir() and not any(out.iterdir())
        ours = empty or (out / CARD).is_file()
        out.parent.mkdir(parents=True, exist_ok=True)
    with claim(out, overwrite or empty, sources, folder=True):
        if out.exists() and not ours:
            raise OutputError(
                f"{out} was not written by this command, so it is not replaced; choose another folder"
            )
        yield


def _check_room(out: Path, total: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if free < total + 2**20:
        raise OutputError(
            f"{out} needs {total / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB left; free some space"
        )


def _bytes(shapes: Shapes, dtype: torch.dtype) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes.values()) * dtype.itemsize


def _write(path: Path, job: _Job, dtype: torch.dtype, report: Report, done: int, total: int) -> int:
    """Write one safetensors file; at most one tensor and one reading window are in memory.
    Returns ``done`` plus it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, offsets = _header(job.plan.shapes, dtype)
    with path.open("wb") as file:
        file.write(header)
        for name, tensor in job.plan.tensors(dtype):
            data = _raw(tensor)
            file.seek(len(header) + offsets[name])
            file.write(data)
            done += len(data)
            report(Progress("convert", done >> 20, total >> 20, detail=job.name))
        file.flush()
        os.fsync(file.fileno())
    return done


def _header(shapes: Shapes, dtype: torch.dtype) -> tuple[bytes, dict[str, int]]:
    """A safetensors header and where every tensor's data starts behind it."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offsets, at = {}, 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel() * dtype.itemsize
        entries[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [at, at + size]}
        offsets[name], at = at, at + size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64)
    return struct.pack("<Q", len(text)) + text, offsets


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
