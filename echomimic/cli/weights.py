"""``echomimic weights``: what the models need, getting it, checking it, converting it."""

import json
import sys
from pathlib import Path

import click

from echomimic.cli.options import FOLDER, QUIET
from echomimic.cli.progress import TerminalBar
from echomimic.errors import EchoMimicError, ResourceError
from echomimic.variants import VARIANTS

DIFFUSION_MODELS = tuple(row.name for row in VARIANTS.values() if row.files)
IN = click.option(
    "--weights", type=FOLDER, help="Look in this folder (else ECHOMIMIC_HOME, else the Hugging Face cache)."
)


@click.group()
def weights() -> None:
    """List, get, check and convert the model files of V1 and V2."""


@weights.command("list")
@IN
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
def list_(weights: Path | None, as_json: bool) -> None:
    """Show what each model needs, how large it is, what is there and where."""
    from echomimic import hub

    model = ""
    for item in hub.listing(weights):
        if as_json:
            row = {"model": item.model, "file": item.name, "repo": item.repo, "bytes": item.bytes}
            click.echo(json.dumps(row | {"path": str(item.path) if item.path else None}))
            continue
        if item.model != model:
            model = item.model
            click.echo(f"{model}: {VARIANTS[model].title}")
        where = str(item.path) if item.path else f"missing; from {item.repo}"
        click.echo(f"  {item.component:15} {item.name:38} {_size(item.bytes):>9}  {where}")
    if not as_json:
        click.echo("get what is missing: echomimic weights get MODEL")


@weights.command()
@click.argument("model", type=click.Choice(DIFFUSION_MODELS))
@click.option("-o", "--output", type=FOLDER, help="Put the files here instead of the Hugging Face cache.")
@QUIET
def get(model: str, output: Path | None, quiet: bool) -> None:
    """Get the files of MODEL from the Hugging Face hub; goes on where an earlier run stopped."""
    from echomimic import hub

    with TerminalBar(quiet) as report:
        files = hub.get(model, output, report)
    if not quiet:
        click.echo(
            f"{model} is complete, {_size(files.bytes)}: "
            f"{', '.join(sorted({str(p) for p in files.paths.values()}))}"
        )


@weights.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--quick", is_flag=True, help="Compare names and shapes only; do not read every file to its end."
)
@QUIET
def check(folder: Path, quick: bool, quiet: bool) -> None:
    """Compare every file in FOLDER with the official list of tensors; exit code 1 when one is wrong."""
    _need_torch()
    from echomimic.models.check import check as checked

    with TerminalBar(quiet) as report:
        findings = checked(folder, report, thorough=not quick)
    for finding in findings:
        if finding.bad or not quiet:
            colour = "red" if finding.bad else None
            click.secho(
                f"{finding.kind:10} {finding.path}: {finding.text} [{', '.join(finding.models)}]", fg=colour
            )
    if any(finding.bad for finding in findings):
        sys.exit(1)


@weights.command()
@click.argument("folder", type=FOLDER)
@click.option("-o", "--output", type=FOLDER, required=True, help="The new folder.")
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Choice(DIFFUSION_MODELS),
    help="Only this one; may be given again.",
)
@click.option("--dtype", type=click.Choice(("fp16", "bf16", "fp32")), default="fp16", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace an earlier conversion.")
@QUIET
def convert(
    folder: Path, output: Path, models: tuple[str, ...], dtype: str, overwrite: bool, quiet: bool
) -> None:
    """Convert the files in FOLDER into one folder of safetensors,
    which loads faster and takes half the room."""
    _need_torch()
    import torch

    from echomimic.models.convert import convert as converted

    number = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    with TerminalBar(quiet) as report:
        written = converted(folder, output, models, number, overwrite, report)
    for file in written if not quiet else ():
        click.echo(f"{file.path}  {_size(file.bytes)}  [{', '.join(file.models)}]")


def readiness(packages: bool) -> list[tuple[str, str]]:
    """(model, one line about whether it can be used and what to do), for ``doctor``."""
    from echomimic.models import layouts

    lines: list[tuple[str, str]] = []
    for name in DIFFUSION_MODELS:
        try:
            layouts.find(name)
            state = "ready" if packages else "weights are there, packages are missing (see above)"
        except EchoMimicError:
            have = len(layouts.present(name))
            state = f"{have} of {len(layouts.COMPONENTS)} files are there; run: echomimic weights get {name}"
        lines.append((name, state))
    return lines


def _need_torch() -> None:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise ResourceError('this needs torch; run: pip install "echomimic-studio[diffusion]"')


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
