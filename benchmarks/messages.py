"""Every error a user can meet, read from the source:
``python -m benchmarks.messages`` rewrites their page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from echomimic import errors

PACKAGE = Path(errors.__file__).parent
PAGE = PACKAGE.parent / "docs" / "troubleshooting.md"
KINDS = {name for name in vars(errors) if name.endswith("Error")} | {"ManifestError"}
MARK = "<!-- from here on written by `python -m benchmarks.messages` -->\n"
TITLES = {
    "media": "Pictures, sounds, videos and outputs",
    "motion": "Motion",
    "models": "Weights",
    "diffusion": "V1 and V2",
    "faces": "Faces",
    "framing": "Framing",
    "driving": "Drivers",
    "preview": "The preview",
    "batch": "Many videos",
    "studio": "The studio",
    "comfy": "ComfyUI",
    "evaluate": "Evaluation",
    "provenance": "Provenance",
    "cli": "The terminal",
    "hub": "Downloads",
    "live": "Live",
}


def words(node: ast.expr) -> str:
    """The text of a message, with the source of what is filled in, in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(words(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + ast.unparse(node.value) + "}"
    if isinstance(node, ast.BinOp):
        return words(node.left) + words(node.right)
    return "{remedy}"  # a message that is made elsewhere


def messages() -> Iterator[tuple[Path, int, str]]:
    """File (in the package), line and text of every message."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in KINDS
                and node.args
            ):
                yield path.relative_to(PACKAGE), node.lineno, words(node.args[0])


def listed() -> str:
    """The list of all messages by room, what is filled in shown as …"""
    rooms: dict[str, set[str]] = {}
    for path, _, text in messages():
        room = path.parts[0].removesuffix(".py")
        shown = " ".join(re.sub(r"\{(?:[^{}]|\{[^{}]*\})*\}", "…", text).split())
        if len(shown.replace("…", "").strip(" .:;")) > 8:
            rooms.setdefault(TITLES.get(room, "Options"), set()).add(shown)
    return "\n".join(f"## {title}\n\n" + "".join(map(_item, sorted(rooms[title]))) for title in sorted(rooms))


def _item(text: str) -> str:
    return f"- `{text.replace('`', chr(39))}`\n"


def main() -> None:
    """Rewrites the list in the page."""
    before = PAGE.read_text("utf-8").partition(MARK)[0]
    PAGE.write_text(f"{before}{MARK}\n{listed()}", "utf-8")


if __name__ == "__main__":
    main()
