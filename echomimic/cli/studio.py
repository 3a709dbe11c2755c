"""``echomimic studio``."""

from pathlib import Path

import click

from echomimic.errors import OutputError
from echomimic.studio.serve import DEFAULT_PORT, Serving, serve

HOME = click.option(
    "--home", type=click.Path(path_type=Path), help="Folder of its data (else the user's data folder)."
)


@click.group(invoke_without_command=True)
@HOME
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; 0.0.0.0 lets others in, with the token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option("--no-page", is_flag=True, help="Serve the API alone.")
@click.option("--root-path", default="", help="Path under which a reverse proxy shows it, such as /studio.")
@click.option(
    "--allow-host", "hosts", multiple=True, help="A name under which it may be called; may be given again."
)
@click.option("--no-token", is_flag=True, help="Let everybody on this computer in (loopback only).")
@click.option(
    "--max-upload",
    type=click.IntRange(1, 1 << 20),
    default=1024,
    show_default=True,
    help="Largest upload in MB.",
)
@click.pass_context
def studio(
    context: click.Context,
    home: Path | None,
    host: str,
    port: int,
    no_browser: bool,
    no_page: bool,
    root_path: str,
    hosts: tuple[str, ...],
    no_token: bool,
    max_upload: int,
) -> None:
    """Open the studio: a page on this computer where portraits are tried, directed, compared and rendered."""
    if context.invoked_subcommand is not None:
        context.obj = home
        return

    def tell(address: str) -> None:
        click.echo(address)
        if not (no_browser or no_page):
            import webbrowser

            webbrowser.open(address)

    serve(Serving(home, host, port, not no_page, root_path, not no_token, hosts, max_upload), tell)


@studio.command()
@HOME
@click.option(
    "--days", type=click.FloatRange(min=0), default=30, show_default=True, help="Keep what is younger."
)
@click.option("--starred", is_flag=True, help="Remove starred takes too.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and keep it.")
@click.pass_context
def clean(context: click.Context, home: Path | None, days: float, starred: bool, dry_run: bool) -> None:
    """Remove takes that are old and not starred, and files that no take uses."""
    from echomimic.studio.clean import clean_up as cleaned
    from echomimic.studio.database import Database
    from echomimic.studio.home import Home, default_home

    folder = Home(home or context.obj or default_home())
    if not folder.database.is_file():
        raise OutputError(f"{folder.folder} holds no studio; give its --home")
    gone = cleaned(folder, Database(folder.database), days, not starred, dry_run)
    verb = "would go" if dry_run else "are gone"
    click.echo(f"{gone['takes']} takes and {gone['assets']} files {verb}: {gone['bytes'] / 1e6:.1f} MB")
