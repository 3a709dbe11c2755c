"""How the classic node pack's widget values lie in saved workflows, and what each position is called.

The editor stores a node's widget values as a bare list in the order of that day's inputs. A list is told by
its length and by what each of its values can be; the sockets of the node decide between two that look alike.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

_Values: TypeAlias = dict[str, Any]
Fits: TypeAlias = Callable[[Any], bool]

CONTROLS = ("fixed", "increment", "decrement", "randomize")
"""What the editor stores behind a seed: its "control after generate"."""
CONTROL = "control_after_generate"
MODES_BEFORE = ("turbo", "normal", "none")
"""Inference modes of July 2024."""
RELEASES = ("V1", "V2", "V3")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


def _number(low: float, high: float) -> Fits:
    def fits(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high

    return fits


def _mode(value: Any) -> bool:
    return _switch(value) or (
        _text(value) and (value in MODES_BEFORE or "drive" in value or value.startswith("pose"))
    )


def _release(value: Any) -> bool:
    return value in RELEASES


def _either(value: Any) -> bool:
    return _switch(value) or _text(value)


@dataclass(frozen=True)
class Layout:
    """One day's order: what each position is called and what it can hold;
    ``sockets`` are links that it needs."""

    since: str
    columns: tuple[tuple[str, Fits], ...]
    sockets: frozenset[str] = frozenset()

    def fits(self, values: Sequence[Any], sockets: Collection[str]) -> bool:
        """Whether ``values`` can be of this layout; None fits everywhere."""
        return len(values) == len(self.columns) and self.begins(values, sockets)

    def begins(self, values: Sequence[Any], sockets: Collection[str]) -> bool:
        """Whether ``values`` can be of this layout as far as both go."""
        if not self.sockets <= set(sockets):
            return False
        return all(v is None or fits(v) for v, (_, fits) in zip(values, self.columns, strict=False))

    def named(self, values: Sequence[Any]) -> _Values:
        """The values by name, without those that the file leaves open."""
        return {name: v for v, (name, _) in zip(values, self.columns, strict=False) if v is not None}


_LOADED = (("vae", _text), ("denoising", _switch))
_MODE = (("infer_mode", _mode),)
_MOUTH = (("draw_mouse", _switch), ("motion_sync", _switch))
_LOW = (("lowvram", _switch),)
_LOADER = (
    Layout(
        "2025-08-12",
        (
            *_LOADED,
            *_MODE,
            *_LOW,
            ("teacache_offload", _either),
            ("use_mmgp", _text),
            ("version", _release),
        ),
    ),
    Layout("2024-12-04", (*_LOADED, *_MODE, *_MOUTH, *_LOW, ("version", _release))),
    Layout("2024-08-01", (*_LOADED, *_MODE, *_MOUTH, *_LOW)),
    Layout("2024-07-17", (*_LOADED, *_MODE, *_MOUTH)),
    Layout("2024-07-14", (*_LOADED, *_MODE)),
)

_WHOLE = _number(0, 2**64)
_SEED = (("seed", _WHOLE),)
_GUIDED = (("cfg", _number(0, 100)), ("steps", _number(1, 10000)))
_RATE = (("sample_rate", _number(1000, 200_000)),)
_TIMED = (("fps", _number(1, 1000)), *_RATE)
_RATIOS = (("facemask_ratio", _number(0, 1)), ("facecrop_ratio", _number(0, 1)))
_WINDOW = (("context_frames", _number(0, 1000)), ("context_overlap", _number(0, 1000)))
_SIZE = (("length", _number(0, 10_000_000)), ("width", _number(16, 16384)), ("height", _number(16, 16384)))
_SAVED = (("save_video", _switch),)
_BODY = (*_SEED, *_GUIDED, *_TIMED, *_RATIOS, *_WINDOW)
_FILMED = (("video_files", _text), ("pose_dir", _text))
_FILM_SOUND = (("audio_form_video", _switch),)
_SAMPLER = (
    Layout("2025-08-12", (*_SEED, *_GUIDED, *_RATE, *_WINDOW, *_SAVED), frozenset({"emb"})),
    Layout("2024-07-14", (("audio_file", _text), *_BODY, *_SIZE, *_SAVED), frozenset({"pipe"})),
    Layout("2024-11-18", (("pose_dir", _text), *_BODY, *_SIZE, *_SAVED)),
    Layout("2024-07-26", (*_FILMED, *_BODY, ("crop_face", _switch), *_SIZE, *_FILM_SOUND, *_SAVED)),
    Layout("2024-07-17", (*_FILMED, *_BODY, *_SIZE, *_FILM_SOUND, *_SAVED)),
    Layout("2024-07-15", (*_BODY, *_SIZE, *_SAVED)),
)
_PREDATA = (
    Layout(
        "2025-08-08",
        (
            ("prompt", _text),
            ("negative_prompt", _text),
            ("pose_dir", _text),
            *_SIZE[1:],
            ("fps", _number(1, 1000)),
            *_RATIOS,
            _SIZE[0],
            ("partial_video_length", _WHOLE),
            *_MOUTH,
        ),
    ),
)
LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "Echo_LoadModel": _LOADER,
    "Echo_Sampler": _SAMPLER,
    "Echo_Predata": _PREDATA,
}


def name_values(kind: str, values: Any, sockets: Collection[str]) -> _Values | None:
    """A classic node's values by name, the seed's control among them; None when they are of no layout known
    here.

    ``values`` is what the file holds: a list, or a dict that names them itself. ``sockets`` are the node's
    links.
    """
    if isinstance(values, Mapping):
        return dict(values)
    rest, control = _without_control(list(values or ()))
    for given in (rest, _without_uploads(rest)):
        for layout in LAYOUTS.get(kind, ()):
            if layout.fits(given, sockets):
                return {**layout.named(given), **({CONTROL: control} if control else {})}
    return None


def guess_values(kind: str, values: Any, sockets: Collection[str]) -> _Values | None:
    """As :func:`name_values` for lists that are a little longer or shorter than any known: those values that
    stand where a known layout has them. None when there is no such layout."""
    if not isinstance(values, list):
        return None
    rest, control = _without_control(values)
    near = [
        (abs(len(layout.columns) - len(rest)), layout)
        for layout in LAYOUTS.get(kind, ())
        if min(len(rest), len(layout.columns)) >= _LEAST and layout.begins(rest, sockets)
    ]
    off, best = min(near, key=lambda one: one[0], default=(_FARTHEST + 1, None))
    if best is None or off > _FARTHEST:
        return None
    return {**best.named(rest), **({CONTROL: control} if control else {})}


# Values that have to agree with a layout before it is believed.
_LEAST = 3
# Values by which a list may be longer or shorter than the layout that it is taken for.
_FARTHEST = 4


def _without_control(values: list[Any]) -> tuple[list[Any], str | None]:
    """The values without the entry that the editor puts behind a seed, and that entry."""
    for place, value in enumerate(values[1:], 1):
        if value in CONTROLS and _WHOLE(values[place - 1]):
            return values[:place] + values[place + 1 :], str(value)
    return values, None


def _without_uploads(values: list[Any]) -> list[Any]:
    """The values without the empty ones that upload buttons leave at the end."""
    kept = list(values)
    while kept and kept[-1] in (None, "", "image", "audio", "video"):
        kept.pop()
    return kept
