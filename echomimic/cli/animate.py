"""``echomimic animate``."""

import dataclasses
from typing import Any

import click

from echomimic.cli.options import Grouped, add_options, build_options
from echomimic.cli.progress import TerminalBar, print_result
from echomimic.request import Request, Settings


@click.command(cls=Grouped)
@add_options(Request, Settings)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON about the result.")
def animate(quiet: bool, as_json: bool, **values: Any) -> None:
    """Make a talking video: PORTRAIT (a photo or drawing) says SPEECH (a sound file)."""
    request, settings = build_options(Request, values), build_options(Settings, values)
    run_and_show(request, settings, quiet, as_json)


def run_and_show(request: Request, settings: Settings, quiet: bool, as_json: bool) -> None:
    """Runs one job with a progress bar and prints its result."""
    from echomimic.flow import run

    with TerminalBar(quiet or as_json) as report:
        result = run(request, settings, report)
    speed = result.seconds / result.took if result.took else 0.0
    print_result(
        dataclasses.asdict(result),
        as_json,
        quiet,
        f"{result.output}: {result.frames} frames, {result.seconds:.2f} s at {result.fps:g} fps, "
        f"{result.width}x{result.height}, {result.model}, seed {result.seed}; took {result.took:.1f} s "
        f"({speed:.2f}x real time)",
    )
