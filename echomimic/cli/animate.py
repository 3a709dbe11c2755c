"""``echomimic animate``."""

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from echomimic.cli.options import Grouped, add_options, build_options
from echomimic.cli.progress import TerminalBar, print_result
from echomimic.ranks import Ranks, ranks_of_process
from echomimic.request import Request, Settings

if TYPE_CHECKING:
    from echomimic.flow import Result


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
    if settings.variant.engine == "preview":
        # NumPy reads this when it is loaded. The preview's products are small: a second thread gains nothing.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from echomimic.flow import run

    if (ranks := ranks_of_process()).count > 1:
        result = _together(request, settings, quiet or as_json, ranks)
    else:
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


def _together(request: Request, settings: Settings, quiet: bool, ranks: Ranks) -> "Result":
    """The result in the first process of torchrun; the others end here, and only the first one speaks."""
    from echomimic.diffusion.exchange import TogetherError
    from echomimic.flow import run_together

    try:
        with TerminalBar(quiet or ranks.rank > 0) as report:
            result = run_together(request, settings, report, ranks)
    except TogetherError:
        sys.exit(2)
    if result is None:
        sys.exit(0)
    return result
