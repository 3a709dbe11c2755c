"""``echomimic provenance``: make keys, and read back what a file says about itself."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from echomimic.provenance.show import Provenance

PATH = click.Path(path_type=Path)
_ROOT = click.option(
    "--root", type=PATH, help="Trust this root certificate (root.pem); else your own, if you have one."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


@click.group()
def provenance() -> None:
    """Make keys to sign videos with; show and verify what a video says about itself."""


@provenance.command()
@click.option("--name", default="EchoMimic user", show_default=True, help="Who signs; anybody can read it.")
@click.option(
    "-o", "--output", type=PATH, help="Folder of the keys (else ECHOMIMIC_KEYS, else your settings folder)."
)
def init(name: str, output: Path | None) -> None:
    """Make a personal certificate authority and a key that signs your videos."""
    from echomimic.provenance.identity import KEY, ROOT, YEARS, make_identity

    folder = make_identity(name, output)
    click.echo(f"{folder}: keys for {name!r}, good for {YEARS} years; sign with --sign")
    click.echo(
        f"keep {KEY} to yourself; give {ROOT} to whoever wants to check: "
        f"echomimic provenance verify FILE --root {ROOT}"
    )


@provenance.command()
@click.argument("file", type=PATH)
@_ROOT
@_JSON
def show(file: Path, root: Path | None, as_json: bool) -> None:
    """Show every mark in a video, picture or image sequence."""
    _print(_read(file, root), as_json)


@provenance.command()
@click.argument("file", type=PATH)
@_ROOT
@_JSON
def verify(file: Path, root: Path | None, as_json: bool) -> None:
    """Check a file's signature; exit code 1 when it is missing, broken, or by somebody else than ROOT."""
    found = _read(file, root)
    _print(found, as_json)
    wanted = ("Trusted",) if root else ("Trusted", "Valid")
    sys.exit(0 if found.signature.state in wanted else 1)


def _read(file: Path, root: Path | None) -> "Provenance":
    from echomimic.provenance import identity
    from echomimic.provenance.show import read_provenance

    own = identity.identity_folder() / identity.ROOT
    return read_provenance(file, root or (own if own.is_file() else None))


def _print(found: "Provenance", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(found) | {"marked": found.marked}))
        return
    signature = found.signature
    meaning = {
        "Trusted": "intact, signed by somebody whose root you trust",
        "Valid": "intact; the signer is not known to you (give --root)",
        "Invalid": "changed after it was signed, or not a signature",
        "none": "not signed",
    }
    rows = [
        ("title", found.title),
        ("comment", found.comment),
        ("digital source type", found.source_type),
        ("AIGC (GB 45438-2025)", ", ".join(f"{k} {v}" for k, v in found.aigc.items() if v)),
        ("XMP packet", "yes" if found.xmp else ""),
        ("signature (C2PA)", f"{signature.state}: {meaning.get(signature.state, '')}"),
        ("signed by", " ".join((signature.signer, signature.when)).strip()),
        ("what is wrong", ", ".join(signature.reasons)),
        *((f"made from: {role}", digest) for role, digest in signature.inputs),
    ]
    for name, value in rows:
        if value:
            click.echo(f"{name + ':':24}{value}")
    if not found.marked and signature.state == "none":
        click.echo(
            "nothing in this file says where it comes from; marks may have been stripped by re-encoding"
        )
