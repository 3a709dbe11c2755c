"""Edits of a stretch of a performance: gain, smooth, mute, mirror, replace, blink, each on one track or on
all.

An edit is a plain value that can be stored, undone and done again. Frames outside its stretch keep their
bits; inside, it comes and goes over ``RAMP`` seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray, Floats, smoothstep
from echomimic.errors import SettingsError
from echomimic.faces.geometry import mesh_mirror
from echomimic.motion.edit import there_and_back
from echomimic.motion.performance import Performance
from echomimic.motion.tracks import at_times, gaussian

Op: TypeAlias = Literal["gain", "smooth", "mute", "mirror", "replace", "blink"]
_Track: TypeAlias = Literal["mouth", "head", "brows", "blinks", "gaze", "body", "hands", "all"]
Eyes: TypeAlias = Literal["both", "left", "right"]
Sources: TypeAlias = Callable[[str], Performance]
"""The performance that a name stands for; raises what is wrong with it."""

TRACKS: dict[str, tuple[str, ...]] = {
    "mouth": ("expression",),
    "head": ("rotation", "translation"),
    "brows": ("brow",),
    "blinks": ("blink",),
    "gaze": ("gaze",),
    "body": ("body",),
}
"""Fields of a performance by the track they belong to. ``hands`` has none: see ``region_hands``."""
RAMP = 0.12
"""Seconds in which an edit comes and goes at the ends of its stretch, at most a quarter of it:
a syllable's edge."""
# Seconds; more would smooth a sentence into one pose.
LONGEST_SMOOTH = 2.0
MOST_GAIN = 3.0
# What a mirror does to the channels of a field.
_SIGNS = {"rotation": (1, -1, -1), "translation": (-1, 1), "gaze": (-1, 1), "body": (-1, 1)}


@dataclass(frozen=True)
class Edit:
    """One edit from ``start`` to ``stop`` (seconds, exclusive). Raises :class:`SettingsError`.

    ``amount``: of gain 0…3, of blink 0…1. ``seconds``: of smooth. ``source`` and ``offset`` (seconds into it,
    ``start`` when None): of replace. ``eyes``: of blink, as seen in the picture.
    """

    op: Op
    start: float
    stop: float
    track: _Track = "all"
    amount: float = 1.0
    seconds: float = 0.2
    source: str = ""
    offset: float | None = None
    eyes: Eyes = "both"

    def __post_init__(self) -> None:
        for name, known in (("op", Op), ("track", _Track), ("eyes", Eyes)):
            if getattr(self, name) not in get_args(known):
                choices = ", ".join(get_args(known))
                raise SettingsError(f"{name} {getattr(self, name)!r} is unknown; choose one of {choices}")
        most = 1.0 if self.op == "blink" else MOST_GAIN
        for name, low, high in (
            ("start", 0, 1e6),
            ("stop", 0, 1e6),
            ("amount", 0, most),
            ("seconds", 0, LONGEST_SMOOTH),
        ):
            _check_number(name, getattr(self, name), low, high)
        if self.offset is not None:
            _check_number("offset", self.offset, 0, 1e6)
        if self.start >= self.stop:
            raise SettingsError(
                f"an edit from {self.start:g} to {self.stop:g} s has no length; give a stop after its start"
            )
        if self.op == "replace" and not (isinstance(self.source, str) and self.source):
            raise SettingsError("replace has no source; give one")


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SettingsError(f"{name} {value!r} of an edit is out of range; give {low:g} to {high:g}")


def read_edits(values: Any) -> tuple[Edit, ...]:
    """Edits from plain values, as JSON gives them;
    raises :class:`SettingsError` naming the one that is wrong."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise SettingsError("edits are no list; give a list of objects")
    known = {field.name for field in fields(Edit)}
    made = []
    for number, value in enumerate(values):
        if not isinstance(value, Mapping) or not {"op", "start", "stop"} <= set(value):
            raise SettingsError(f"edit {number} is no object; give op, start and stop")
        if unknown := sorted(str(name) for name in set(value) - known):
            raise SettingsError(
                f"edit {number} has an unknown {unknown[0][:80]!r}; choose from {', '.join(sorted(known))}"
            )
        try:
            made.append(Edit(**value))
        except SettingsError as error:
            raise SettingsError(f"edit {number} cannot be done: {error}") from None
    return tuple(made)


def apply_edits(performance: Performance, edits: Sequence[Edit], sources: Sources) -> Performance:
    """The performance with every edit done, in order; ``sources`` gives what ``replace`` takes from."""
    for edit in edits:
        performance = _applied(performance, edit, sources)
    return performance


def _applied(performance: Performance, edit: Edit, sources: Sources) -> Performance:
    at = _frames_of(edit, len(performance), performance.fps)
    if not len(at) or (edit.track == "hands" and edit.op != "blink"):
        return performance
    wanted, performance = _wanted(performance, edit, at, sources)
    weight = _weight(len(at), performance.fps) if edit.op != "blink" else np.ones(len(at), np.float32)
    changed = {}
    for name, values in wanted.items():
        track = getattr(performance, name).copy()
        share = weight.reshape(-1, *[1] * (track.ndim - 1))
        track[at] += share * (values - track[at])
        changed[name] = track
    return replace(performance, **changed)


def _frames_of(edit: Edit, count: int, fps: float) -> npt.NDArray[np.intp]:
    frames = np.arange(count)
    return frames[(frames >= round(edit.start * fps)) & (frames < round(edit.stop * fps))]


def edit_weight(edit: Edit, count: int, fps: float) -> Floats:
    """(count,) 0…1: how much of the edit each frame of a motion gets, 0 outside its stretch."""
    whole = np.zeros(count, np.float32)
    at = _frames_of(edit, count, fps)
    if len(at):
        whole[at] = _weight(len(at), fps)
    return whole


def _weight(count: int, fps: float) -> Floats:
    """(count,) 0…1: how much of the edit each frame gets."""
    ramp = max(1.0, min(RAMP * fps, count / 4))
    near = np.minimum(np.arange(count) + 1, np.arange(count, 0, -1)) / (ramp + 1)
    return np.asarray(smoothstep(near), dtype=np.float32)


def _wanted(
    performance: Performance, edit: Edit, at: npt.NDArray[np.intp], sources: Sources
) -> tuple[dict[str, Floats], Performance]:
    """What the fields shall be in the frames ``at``;
    and the performance, its basis wider if that is needed."""
    if edit.op == "blink":
        return {"blink": _blinking(performance.blink[at], edit)}, performance
    names = [name for key, group in TRACKS.items() if edit.track in (key, "all") for name in group]
    if edit.op == "replace":
        return _borrowed(performance, edit, names, at, sources)
    if edit.op == "mirror":
        return _mirrored(performance, names, at)
    change = {"gain": lambda x: x[at] * np.float32(edit.amount), "mute": lambda x: np.zeros_like(x[at])}
    change["smooth"] = lambda x: gaussian(x, edit.seconds * performance.fps)[at]
    return {name: change[edit.op](getattr(performance, name)) for name in names}, performance


def _blinking(blink: Floats, edit: Edit) -> Floats:
    """The lids close towards the middle and open again; closed ones stay closed."""
    lids = np.float32(edit.amount) * np.sin(np.pi * (np.arange(len(blink)) + 0.5) / len(blink)) ** 2
    eyes = {"both": (1, 1), "left": (1, 0), "right": (0, 1)}[edit.eyes]
    return np.asarray(np.maximum(blink, lids[:, None] * np.array(eyes, np.float32)), dtype=np.float32)


def _mirrored(
    performance: Performance, names: Sequence[str], at: npt.NDArray[np.intp]
) -> tuple[dict[str, Floats], Performance]:
    done = {
        name: getattr(performance, name)[at] * np.array(_SIGNS[name], np.float32)
        for name in names
        if name in _SIGNS
    }
    if "blink" in names:
        done["blink"] = performance.blink[at][:, ::-1]
    if "expression" in names:
        turned = performance.basis[:, mesh_mirror()] * np.array([-1, 1, 1], np.float32)
        count = performance.expression.shape[1]
        performance = _widened(performance, turned)
        own = performance.expression[at]
        done["expression"] = np.concatenate([np.zeros_like(own[:, :-count]), own[:, :count]], axis=1)
    return done, performance


def _borrowed(
    performance: Performance, edit: Edit, names: Sequence[str], at: npt.NDArray[np.intp], sources: Sources
) -> tuple[dict[str, Floats], Performance]:
    source = sources(edit.source)
    offset = edit.start if edit.offset is None else edit.offset
    moments = (offset + (at - at[0]) / performance.fps) * source.fps
    last = len(source) - 1
    path = there_and_back(
        len(source), int(moments[-1]) + 2
    )  # a source that is too short is played there and back
    moments = moments if moments[-1] <= last else np.interp(moments, np.arange(len(path)), path.astype(float))
    done = {name: at_times(getattr(source, name), moments) for name in names}
    if "expression" in names and not np.array_equal(source.basis, performance.basis):
        count = source.expression.shape[1]
        performance = _widened(performance, source.basis)
        empty = np.zeros((len(at), performance.expression.shape[1] - count), np.float32)
        done["expression"] = np.concatenate([empty, done["expression"]], axis=1)
    return done, performance


def _widened(performance: Performance, basis: Floats) -> Performance:
    """The same performance, able to show what ``basis`` spans too; its coefficients come last."""
    empty = np.zeros((len(performance), len(basis)), np.float32)
    return replace(
        performance,
        basis=np.concatenate([performance.basis, basis]),
        expression=np.concatenate([performance.expression, empty], axis=1),
    )


def frame_keys(performance: Performance, further: Sequence[AnyArray] = ()) -> npt.NDArray[np.uint64]:
    """(F,) a number per frame: frames with equal numbers show the same. ``further`` are tracks that count
    too.

    Coefficients count up to the last one that is not zero, with what they mean, so that a basis which was
    widened for an edit changes only the frames that use its new part.
    """
    names = [f.name for f in dataclasses.fields(performance) if f.name not in ("fps", "basis", "expression")]
    tracks = [getattr(performance, name) for name in names] + [np.asarray(track) for track in further]
    meanings: dict[int, bytes] = {}
    keys = np.empty(len(performance), np.uint64)
    for i, row in enumerate(performance.expression):
        used = int(np.flatnonzero(row)[-1]) + 1 if row.any() else 0
        if used not in meanings:
            meanings[used] = hashlib.blake2b(performance.basis[:used].tobytes(), digest_size=8).digest()
        digest = hashlib.blake2b(row[:used].tobytes() + meanings[used], digest_size=8)
        for track in tracks:
            digest.update(np.ascontiguousarray(track[i]).tobytes())
        keys[i] = int.from_bytes(digest.digest(), "little")
    return keys


def spans_of(changed: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The stretches (first, last + 1) in which ``changed`` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], changed, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
