"""Command-line options, generated from ``echomimic.request``."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from echomimic.errors import SettingsError
from echomimic.option import EVERY_ENGINE, Option, options
from echomimic.request import Request, Settings

Function = TypeVar("Function", bound=Callable[..., Any])
ARGUMENTS = ("portrait", "speech")
SHORT = {"output": "-o", "model": "-m"}
FOLDER = click.Path(path_type=Path)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")


class Grouped(click.Command):
    """A command whose help lists its options under the headings that ``request.py`` gives them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one section per heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                sections.setdefault(GROUPS.get(parameter.name or "", "This command"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


_ENGINES: dict[tuple[str, ...], str] = {("preview",): "preview only", ("diffusion",): "V1 and V2"}
GROUPS = {o.name: o.group for o in (*options(Request), *options(Settings))}


def add_options(*kinds: type, only: Sequence[str] = ()) -> Callable[[Function], Function]:
    """Decorates a command with the options of ``Request`` and/or ``Settings``,
    or with ``only`` those named."""

    def decorate(function: Function) -> Function:
        for option in reversed([o for kind in kinds for o in options(kind) if not only or o.name in only]):
            function = _parameter(option)(function)
        return function

    return decorate


def _parameter(option: Option) -> Callable[[Function], Function]:
    if option.name in ARGUMENTS:
        return click.argument(option.name, type=click.Path(path_type=Path, readable=False))
    dashed = option.name.replace("_", "-")
    names = [*([SHORT[option.name]] if option.name in SHORT else []), f"--{dashed}"]
    if option.type is bool:
        names = [f"--{dashed}/--no-{dashed}"] if option.default else names
        return click.option(*names, is_flag=True, default=option.default, help=_help(option))
    if option.default is dataclasses.MISSING:
        return click.option(*names, type=_click_type(option), required=True, help=_help(option))
    return click.option(*names, type=_click_type(option), default=option.default, help=_help(option))


def _click_type(option: Option) -> Any:
    if option.choices:
        return click.Choice(option.choices)
    return {int: int, float: float, Path: click.Path(path_type=Path)}.get(option.type, str)


def _help(option: Option) -> str:
    facts = []
    if option.low is not None and option.name not in ("width", "height", "size", "length", "face"):
        facts.append(f"{option.low:g} to {option.high:.10g}")
    if option.unit:
        facts.append(option.unit)
    if option.type is not bool and option.default not in (None, "", dataclasses.MISSING):
        facts.append(f"default {option.default}")
    elif option.default is None:
        facts.append("default: the model's" if option.shown is not None else "default: none")
    if option.used_by != EVERY_ENGINE:
        facts.append(_ENGINES.get(option.used_by, "no effect"))
    return f"{option.help[0].upper()}{option.help[1:]}." + (f" [{'; '.join(facts)}]" if facts else "")


def build_options(kind: type, values: dict[str, Any]) -> Any:
    """``Request`` or ``Settings`` from a command's values; messages speak of ``--dashed`` options."""
    names = {o.name for o in options(kind)}
    try:
        return kind(**{name: value for name, value in values.items() if name in names})
    except SettingsError as error:
        raise SettingsError(_dashed(str(error), error.options), *error.options) from None


def _dashed(message: str, names: Sequence[str]) -> str:
    """``message`` with the options it speaks of as the command line spells them."""
    for name in names:
        message = re.sub(rf"\b{name}\b", f"--{name.replace('_', '-')}", message)
    return message
