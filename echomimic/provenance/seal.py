"""What is done to a finished file before it gets its name: its XMP packet, then its signature."""

from collections.abc import Callable
from pathlib import Path

from echomimic.conditions import Conditions
from echomimic.errors import OutputError
from echomimic.provenance.marks import Marks
from echomimic.provenance.signing import EMBEDDED, sidecar_of, signer_for
from echomimic.provenance.xmp import PNG_KEYWORD, append_xmp, xmp_packet

Seal = Callable[[Path], None]


def seal_for(conditions: Conditions, marks: Marks, output: Path, overwrite: bool = False) -> Seal:
    """A function that marks and signs the temporary file or folder that will become ``output``.

    Raises now, not after the rendering, when keys or packages are missing or the sidecar must not be
    replaced.
    """
    signer = signer_for(conditions.settings)
    detached = bool(output.suffix) and output.suffix.lower() not in EMBEDDED
    if signer and detached and sidecar_of(output).exists() and not overwrite:
        raise OutputError(
            f"{sidecar_of(output)} exists; choose another name, or give --overwrite to replace it"
        )

    def seal(part: Path) -> None:
        if output.suffix.lower() == ".mp4":
            append_xmp(part, xmp_packet(marks))
        if signer:
            signer.sign(part, marks, output)

    return seal


def tags_for(marks: Marks, output: Path) -> dict[str, str]:
    """The tags of the container; pictures of a sequence carry the XMP packet as a text of its own, too."""
    return marks.tags if output.suffix else {**marks.tags, PNG_KEYWORD: xmp_packet(marks).decode()}
