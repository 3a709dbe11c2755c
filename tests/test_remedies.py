"""Every error says what to do: each message in the package that a user can meet names a remedy."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bad_input import REMEDY
from echomimic import errors

PACKAGE = Path(__file__).resolve().parents[1] / "echomimic"
KINDS = {name for name in vars(errors) if name.endswith("Error")} | {"ManifestError"}
REMEDIES = ("remedy", "wanted", "_ANEW", "_advice", "allowed", "{what}", "{error}", "{fault}", "kind}")
"""Parts of a message that are a remedy, or a message of its own that has one."""


def words(node: ast.expr) -> str:
    """The text of a message, with the source of what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(words(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + ast.unparse(node.value) + "}"
    if isinstance(node, ast.BinOp):
        return words(node.left) + words(node.right)
    return "{remedy}"  # a message made elsewhere


def messages() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", words(node.args[0])


def test_every_message_names_a_remedy() -> None:
    found = list(messages())
    assert len(found) > 150
    without = [(place, text) for place, text in found if not REMEDY.search(text)]
    assert [m for m in without if not any(part in m[1] for part in REMEDIES)] == []


@pytest.mark.parametrize("text", ["the file is bad", "motion has no face", "x is out of range", "error: it failed"])
def test_the_rule_sees_a_message_without_one(text: str) -> None:
    assert not REMEDY.search(text)


@pytest.mark.parametrize("name", ["a\nb.wav", "a\rb", "\x1b[31m", "a\u2028b", "\udcff.wav"])
def test_a_message_is_one_line_whatever_is_in_a_name(name: str) -> None:
    text = str(errors.SpeechError(f"{name}: no such file; give another"))
    assert text.isprintable()
    text.encode()
