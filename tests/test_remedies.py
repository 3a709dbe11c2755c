"""Every error says what to do: each message in the package that a user can meet names a remedy."""

import pytest

from benchmarks.bad_input import REMEDY
from benchmarks.messages import MARK, PAGE, listed, messages
from echomimic import errors

REMEDIES = ("remedy", "wanted", "_ANEW", "_advice", "allowed", "{what}", "{error}", "{fault}", "kind}")
"""Parts of a message that are a remedy, or a message of its own that has one."""


def test_every_message_names_a_remedy() -> None:
    found = [(f"{path}:{line}", text) for path, line, text in messages()]
    assert len(found) > 150
    without = [(place, text) for place, text in found if not REMEDY.search(text)]
    assert [m for m in without if not any(part in m[1] for part in REMEDIES)] == []


@pytest.mark.parametrize(
    "text", ["the file is bad", "motion has no face", "x is out of range", "error: it failed"]
)
def test_the_rule_sees_a_message_without_one(text: str) -> None:
    assert not REMEDY.search(text)


@pytest.mark.parametrize("name", ["a\nb.wav", "a\rb", "\x1b[31m", "a\u2028b", "\udcff.wav"])
def test_a_message_is_one_line_whatever_is_in_a_name(name: str) -> None:
    text = str(errors.SpeechError(f"{name}: no such file; give another"))
    assert text.isprintable()
    text.encode()


def test_the_page_of_errors_has_them_all() -> None:
    written = PAGE.read_text("utf-8").partition(MARK)[2]
    missing = set(listed().splitlines()) - set(written.splitlines())
    assert not missing, "run: python -m benchmarks.messages"
