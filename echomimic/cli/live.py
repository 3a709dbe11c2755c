"""``echomimic live``: a portrait that speaks what it hears, in a page."""

from pathlib import Path
from typing import Any

import click

from echomimic.cli.options import Grouped, add_options, build_options
from echomimic.errors import ResourceError
from echomimic.request import Settings

_OFFERED = ("seed", "style", "expressiveness", "head_motion", "blink_rate", "gaze", "size", "crop")


@click.command(cls=Grouped)
@click.option("--portrait", required=True, type=click.Path(path_type=Path), help="The photo or drawing.")
@click.option(
    "--face",
    type=click.IntRange(0, 99),
    default=0,
    show_default=True,
    help="Which face when there are several.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7778, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@add_options(Settings, only=_OFFERED)
def live(portrait: Path, face: int, host: str, port: int, no_browser: bool, **values: Any) -> None:
    """Open a page in which PORTRAIT speaks what the microphone hears, or what a program sends."""
    settings = build_options(Settings, {**values, "size": values["size"] or 512})
    try:
        from echomimic.studio.live_app import serve_live
        from echomimic.studio.serve import Serving
    except ImportError as error:
        remedy = 'run: pip install "echomimic-studio[studio]"'
        raise ResourceError(
            f"the live page needs packages that are missing ({error.name}); {remedy}"
        ) from None

    def tell(address: str) -> None:
        click.echo(address)
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    serve_live(portrait, settings, Serving(host=host, port=port), face, tell)
