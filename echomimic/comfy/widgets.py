"""Widgets from the options of :mod:`echomimic.request`: nothing about an option is written twice."""

from collections.abc import Iterable, Mapping
from typing import Any

from echomimic.comfy.api import io
from echomimic.option import Option, options
from echomimic.request import Request, Settings

_ONLY: Mapping[tuple[str, ...], str] = {
    ("diffusion",): " Only V1 and V2 use it.",
    ("preview",): " Only the preview uses it.",
}
_STEPS = {"cfg": 0.1, "fps": 1.0}


def settings_options(names: Iterable[str]) -> list[Option]:
    """The options called ``names``, in that order."""
    known = {option.name: option for option in (*options(Settings), *options(Request))}
    return [known[name] for name in names]


def widget(option: Option, **more: Any) -> Any:
    """The V3 input of one option. Optional, so that a workflow saved before the option existed still runs."""
    shared = {"optional": True, "tooltip": tooltip(option), "default": default(option), **more}
    if option.choices:
        return io.Combo.Input(option.name, options=list(option.choices), **shared)
    if option.type is bool:
        return io.Boolean.Input(option.name, **shared)
    low, high, step = bounds(option)
    if option.type is int:
        whole = {"min": int(low), "max": int(high), "step": int(step)}
        return io.Int.Input(option.name, **whole, **shared)
    return io.Float.Input(option.name, min=float(low), max=float(high), step=float(step), round=0.001, **shared)


def default(option: Option) -> Any:
    """What the widget shows at first."""
    return option.default if option.default is not None else option.shown


def bounds(option: Option) -> tuple[float, float, float]:
    """(low, high, step) of a number's widget."""
    if option.widget is not None:
        return option.widget
    if option.low is None or option.high is None:
        raise ValueError(f"option {option.name} has no range to offer")
    return option.low, option.high, 1 if option.type is int else _STEPS.get(option.name, 0.05)


def tooltip(option: Option) -> str:
    """The option's help as a sentence, with its unit and who listens to it, where the help does not say so itself."""
    text = option.help[:1].upper() + option.help[1:]
    unit = f" ({option.unit})" if option.unit and option.unit not in text else ""
    only = "" if "V1" in text else _ONLY.get(option.used_by, "")
    return f"{text}{unit}.{only}"
