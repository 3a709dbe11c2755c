"""``echomimic demo``: the shipped example, made into a video."""

from pathlib import Path
from typing import Any

import click

from echomimic.cli.animate import run_and_show
from echomimic.cli.options import Grouped, add_options, build_options
from echomimic.request import Request, Settings

EXAMPLE = Path(__file__).resolve().parents[1] / "example"


@click.command(cls=Grouped)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("demo.mp4"), help="The video to write."
)
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@add_options(Settings)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON about the result.")
def demo(output: Path, overwrite: bool, quiet: bool, as_json: bool, **values: Any) -> None:
    """Make a talking video of the example that comes with the program."""
    request = Request(EXAMPLE / "portrait.jpg", EXAMPLE / "speech.flac", output, overwrite=overwrite)
    run_and_show(request, build_options(Settings, values), quiet, as_json)
