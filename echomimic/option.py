"""What an option of the program is: a dataclass field that knows its range,
unit and help, and checks its value."""

import dataclasses
import functools
import math
import numbers
import os
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from echomimic.errors import SettingsError

T = TypeVar("T")

EVERY_ENGINE = ("preview", "diffusion")
"""The kinds of engine there are; an option says which of them read it."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a door has to know to offer one field.

    ``low``/``high`` bound what the library takes; ``widget`` is (low, high, step) of the classic node where
    that is narrower; ``shown`` is the default to display when the field's own default is None ("the
    model's"). ``choices`` are those of the field's ``Literal``.
    """

    name: str
    type: type
    default: Any
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    used_by: tuple[str, ...] = EVERY_ENGINE
    group: str = "Output"
    widget: tuple[float, float, float] | None = None
    shown: float | None = None


def about(
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    used_by: tuple[str, ...] = EVERY_ENGINE,
    group: str = "Output",
    widget: tuple[float, float, float] | None = None,
    shown: float | None = None,
) -> dict[str, Any]:
    """The metadata that makes a dataclass field an option; see :class:`Option`."""
    named = {"unit": unit, "low": low, "high": high, "used_by": used_by, "group": group}
    return {"help": help, **named, "widget": widget, "shown": shown}


def option(default: T, help: str, **details: Any) -> T:
    """A field with a default that is an option; ``details`` are the keywords of :func:`about`."""
    return field(default=default, metadata=about(help, **details))


@functools.cache
def options(of: type) -> tuple[Option, ...]:
    """The options of ``Request`` or ``Settings`` in order of declaration."""
    hints = typing.get_type_hints(of)
    return tuple(_option(f, hints[f.name]) for f in fields(of) if "help" in f.metadata)


def _option(of: "dataclasses.Field[Any]", hint: Any) -> Option:
    """``float | None`` is a float, ``str | Path`` a text, ``Literal["a", "b"]`` a text with choices."""
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    return Option(
        name=of.name, type=str if choices else hint, default=of.default, choices=choices, **of.metadata
    )


def check_fields(value: Any) -> None:
    """Brings every option of ``value`` to its own type;
    raises :class:`SettingsError` for what cannot be used."""
    for entry in options(value.__class__):
        object.__setattr__(value, entry.name, _checked(getattr(value, entry.name), entry))


def _checked(value: Any, entry: Option) -> Any:
    if value is None and entry.default is None:
        return None
    if entry.type in (int, float):
        return _number(value, entry)
    if entry.type is Path:
        return _path(value, entry.name)
    if not isinstance(value, entry.type):
        raise SettingsError(
            f"{entry.name} takes {_kind(entry.type)}, not {value!r}; give such a value", entry.name
        )
    if entry.choices and value not in entry.choices:
        choices = ", ".join(entry.choices)
        raise SettingsError(f"{entry.name} {value!r} is unknown; choose one of {choices}", entry.name)
    return value


def _path(value: Any, name: str) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise SettingsError(f"{name} is {value!r}, which names no file; give a path", name)
    return Path(value)


def _is_endless(value: Any) -> bool:
    """Whether a number is infinite, or as good as that."""
    try:
        return math.isinf(value)
    except OverflowError:
        return True


def _number(value: Any, entry: Option) -> Any:
    real: type[Any] = numbers.Real  # numpy's numbers too
    low, high, unit = entry.low, entry.high, f" {entry.unit}" if entry.unit else ""
    remedy = f"choose {_range(low, high)}{unit}"
    if isinstance(value, bool) or not isinstance(value, real) or value != value:
        raise SettingsError(f"{entry.name} takes {_kind(entry.type)}, not {value!r}; {remedy}", entry.name)
    if (low is not None and value < low) or (_is_endless(value) if high is None else value > high):
        raise SettingsError(f"{entry.name} {value} is out of range; {remedy}", entry.name)
    if entry.type is int and value != int(value):
        raise SettingsError(f"{entry.name} takes a whole number, not {value!r}; {remedy}", entry.name)
    return entry.type(value)


def check_number(
    name: str, value: Any, low: float, high: float | None, *, whole: bool = False, unit: str = ""
) -> Any:
    """``value`` as a float (or int) in low…high;
    raises :class:`SettingsError` that names ``name`` and the range."""
    return _number(value, Option(name, int if whole else float, None, "", unit, low, high))


def _kind(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(
        kind, kind.__name__
    )


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low} or more"
    return f"{low} to {high}"
