"""``echomimic doctor``: what is installed, what can run here, and what to do about the rest."""

import importlib.metadata
import platform
import sys

import click

from echomimic.version import VERSION

NEEDED = ("numpy", "pillow", "av", "onnxruntime", "opencv-python-headless", "safetensors", "click", "rich")
FOR_DIFFUSION = ("torch", "transformers", "huggingface_hub")
INSTALL_DIFFUSION = 'pip install "echomimic-studio[diffusion]"'


@click.command()
def doctor() -> None:
    """Say what is installed, which devices and models can be used, and what to do about the rest."""
    click.echo(f"echomimic {VERSION}, Python {platform.python_version()}, {platform.platform()}")
    missing = _packages("needed by everything", NEEDED)
    absent = _packages("needed by V1 and V2", FOR_DIFFUSION)
    if missing:
        click.echo(f"  -> pip install --force-reinstall echomimic-studio   (missing: {', '.join(missing)})")
    if absent:
        click.echo(f"  -> {INSTALL_DIFFUSION}   (missing: {', '.join(absent)})")
    click.echo("devices")
    _devices("torch" not in absent)
    click.echo("models")
    ready = _models(not absent)
    if missing or not ready:
        sys.exit(1)


def _packages(title: str, names: tuple[str, ...]) -> list[str]:
    click.echo(f"packages {title}")
    absent = []
    for name in names:
        try:
            click.echo(f"  {name:24} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            click.echo(f"  {name:24} missing")
            absent.append(name)
    if absent == ["opencv-python-headless"] and importlib.util.find_spec("cv2"):
        return []
    return absent


def _devices(has_torch: bool) -> None:
    import os

    click.echo(
        f"  cpu                      {os.cpu_count()} cores: preview in about real time; "
        "V1 and V2 are slow here"
    )
    if not has_torch:
        click.echo("  cuda, mps                unknown without torch")
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            click.echo(
                f"  cuda:{index}                   {torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
            )
    elif torch.backends.mps.is_available():
        click.echo("  mps                      Apple GPU")
    else:
        click.echo("  cuda, mps                none found by this build of torch")


def _models(diffusion: bool) -> bool:
    """One line per model; whether the preview, which always ought to work, works."""
    fault = _preview_fault()
    click.echo(f"  preview                  {f'broken: {fault}' if fault else 'ready'}")
    from echomimic.cli.weights import readiness

    for name, state in readiness(diffusion):
        click.echo(f"  {name:24} {state}")
    return not fault


def _preview_fault() -> str:
    """Why the preview cannot render a frame of the shipped example; empty when it can."""
    from echomimic.cli.demo import EXAMPLE
    from echomimic.request import Settings

    try:
        from echomimic import conditions, engine, flow

        job = conditions.gather(
            EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", Settings(size=64, length=1)
        )
        for _ in flow.render(job, engine.load(job.settings)):
            pass
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
