"""Judge a folder of weights without loading a network: every file against what the official one holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from echomimic.errors import WeightsError
from echomimic.models import layouts
from echomimic.models.networks import NETWORKS, Network, Sizes, shapes
from echomimic.models.weight_file import Checkpoint, damage
from echomimic.models.weights import Kind, Source, sources
from echomimic.progress import Progress, Report, silent
from echomimic.variants import VARIANTS, Variant

PARTS: Mapping[Network, tuple[str, ...]] = {
    "denoiser": ("denoising_unet", "motion_module"),
    "reference": ("reference_unet",),
    "guider": ("guider",),
    "vae": ("vae",),
    "whisper": ("whisper",),
}
"""Files each network is loaded from."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one file; ``kind`` "ok" is the only good one.

    ``damaged`` covers files that are cut short, corrupt, unsafe or no checkpoints at all.
    """

    path: Path
    kind: Literal["ok", "damaged"] | Kind
    text: str
    models: tuple[str, ...]

    @property
    def bad(self) -> bool:
        """Whether the file cannot be used as it is."""
        return self.kind != "ok"


@dataclass(frozen=True)
class _Model:
    row: Variant
    paths: Mapping[str, Path]
    sizes: Sizes
    dtype: torch.dtype | None


def check(folder: Path, report: Report = silent, thorough: bool = True) -> list[Finding]:
    """Every file of every model in ``folder``, in any layout, one or more findings per file.

    Models of which the folder has the denoising file are expected to be complete; files shared with other
    folders are looked for where :func:`layouts.find` looks. ``thorough`` also reads every file to its end and
    compares its checksums. Raises :class:`WeightsError` only if there is no such folder or nothing of
    EchoMimic in it.
    """
    models = list(_models(folder))
    if not models:
        raise WeightsError(
            f"{folder} holds no EchoMimic weights; see docs/weights.md for the layouts that are understood"
        )
    findings: dict[tuple[Path, str, str], Finding] = {}
    jobs = [(model, network) for model in models for network in NETWORKS]
    for done, (model, network) in enumerate(jobs):
        report(Progress("check", done, len(jobs), detail=f"{model.row.name} {network}"))
        for found in _network(model, network):
            key = (found.path, found.kind, found.text)
            earlier = findings[key].models if key in findings else ()
            findings[key] = replace(found, models=(*earlier, *found.models))
    report(Progress("check", len(jobs), len(jobs)))
    return _deeper(list(findings.values()), report) if thorough else list(findings.values())


def _models(folder: Path) -> Iterator[_Model]:
    for row in VARIANTS.values():
        if row.files and (place := layouts.model_folder(row, folder)):
            card = layouts.read_card(place)
            sizes = Sizes.from_card(card.get("networks", {}))
            dtype = (
                getattr(torch, str(card.get("dtype")), None) if row.name in card.get("models", {}) else None
            )
            yield _Model(row, layouts.expected(row, place, folder), sizes, dtype)


def _network(model: _Model, network: Network) -> Iterator[Finding]:
    name = (model.row.name,)
    paths = {part: model.paths[part] for part in PARTS[network]}
    unusable = [finding for path in dict.fromkeys(paths.values()) if (finding := _unusable(path, name))]
    yield from unusable
    if not unusable:
        for source in sources(network, model.row, paths, shapes(network, model.row, model.sizes)):
            yield from _source(source, model, name)


def _unusable(path: Path, name: tuple[str, ...]) -> Finding | None:
    if not path.is_file():
        return Finding(path, "missing", "the file is missing", name)
    try:
        Checkpoint(path)
    except WeightsError as error:
        return Finding(path, "damaged", str(error).removeprefix(f"{path} "), name)
    return None


def _source(source: Source, model: _Model, name: tuple[str, ...]) -> Iterator[Finding]:
    path, problems = source.file.path, source.problems()
    yield from (Finding(path, problem.kind, problem.text, name) for problem in problems)
    dtypes = sorted({str(spec.dtype).removeprefix("torch.") for spec in source.file.specs.values()})
    if model.dtype is not None and dtypes != [str(model.dtype).removeprefix("torch.")]:
        yield Finding(path, "dtype", f"is {', '.join(dtypes)}, expected {model.dtype}", name)
    elif not problems:
        yield Finding(path, "ok", f"{len(source.required)} tensors, {', '.join(dtypes)}", name)


def _deeper(findings: list[Finding], report: Report) -> list[Finding]:
    good = [finding for finding in findings if not finding.bad]
    for done, finding in enumerate(good):
        report(Progress("checksums", done, len(good), detail=finding.path.name))
        if what := damage(finding.path):
            findings[findings.index(finding)] = replace(finding, kind="damaged", text=f"is damaged: {what}")
    report(Progress("checksums", len(good), len(good)))
    return findings
