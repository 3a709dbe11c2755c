"""Read the plain values in a pickle without unpickling it.

A pickle is a program; Python's own reader runs it. This one interprets only the instructions that build
numbers, text, bytes, tuples, lists, dictionaries and numpy arrays, and refuses every other one. Arrays are
recorded as `Stored` and turned into numpy arrays afterwards, so no constructor named by the file is ever
called.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from echomimic.arrays import AnyArray

_NUMBERS = frozenset({"b1", "f2", "f4", "f8"} | {k + w for k in "iu" for w in "1248"})
# A frame's points need far fewer; a pickle that asks for more is built to keep us busy.
_MOST_INSTRUCTIONS = 200_000


class PlainPickleError(ValueError):
    """The pickle is damaged or holds something other than plain values."""


@dataclass(frozen=True)
class _Known:
    """One of the few names a pickle of arrays may mention."""

    name: str


@dataclass
class _Kind:
    """A numpy element type as the file describes it."""

    code: str
    order: str = "|"


@dataclass
class Stored:
    """A numpy array or scalar as the file describes it."""

    kind: _Kind | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: Any = None

    def array(self) -> AnyArray:
        """The numbers as a numpy array. Raises PlainPickleError when they are not plain numbers."""
        if self.kind is None or self.kind.code not in _NUMBERS or not isinstance(self.data, bytes):
            raise PlainPickleError("an array is not made of plain numbers")
        dtype = np.dtype((self.kind.order if self.kind.order in "<>" else "") + self.kind.code)
        if math.prod(self.shape) * dtype.itemsize != len(self.data):
            raise PlainPickleError("an array is cut off")
        flat = np.frombuffer(self.data, dtype)
        return flat.reshape(self.shape[::-1]).T if self.fortran else flat.reshape(self.shape)

    def item(self) -> Any:
        """The one value in an array of objects of shape () or (1,). Raises PlainPickleError otherwise."""
        if self.kind is None or self.kind.code not in ("O", "O8", "O4") or self.shape not in ((), (1,)):
            raise PlainPickleError("an array of one object was expected")
        if not isinstance(self.data, list) or len(self.data) != 1:
            raise PlainPickleError("an array of one object was expected")
        return self.data[0]


_GLOBALS = {
    f"{package}.{module} {name}": _Known(name)
    for package in ("numpy.core", "numpy._core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
} | {"numpy ndarray": _Known("ndarray"), "numpy dtype": _Known("dtype"), "_codecs encode": _Known("encode")}

_PUSH = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"}), frozenset({"GET", "BINGET", "LONG_BINGET"})
_NOTHING = frozenset({"PROTO", "FRAME"})
_MARK = object()


def read_plain(data: bytes) -> Any:
    """The value a pickle of plain values describes; arrays in it are `Stored`. Raises PlainPickleError."""
    try:
        # Old text instructions with odd backslashes make the decoder warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(data)
    except PlainPickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as fault:
        raise PlainPickleError(f"damaged: {' '.join(str(fault).split())[:200]}") from fault


def _read(data: bytes) -> Any:
    reader = _Reader()
    for count, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        if count > _MOST_INSTRUCTIONS:
            raise PlainPickleError("it has more instructions than a pose needs")
        if instruction.name == "STOP":
            return reader.pop()
        reader.step(instruction.name, argument)
    raise PlainPickleError("it ends too early")


@dataclass
class _Reader:
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def step(self, name: str, argument: Any) -> None:
        """Do one instruction."""
        if name in _PUSH:
            self.stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _PUTS:
            self.memo[int(argument)] = self.top()
        elif name in _GETS:
            self.stack.append(self.memo[int(argument)])
        elif name in _TUPLES:
            self.stack.append(self.take(_TUPLES[name]))
        elif name not in _NOTHING:
            self.act(name, argument)

    def act(self, name: str, argument: Any) -> None:
        """The instructions that need more than a table row."""
        action = getattr(self, f"do_{name.lower()}", None)
        if action is None:
            raise PlainPickleError(f"instruction {name} is not allowed in a pose file")
        if argument is None:
            action()
        else:
            action(argument)

    def top(self) -> Any:
        if self.stack[-1] is _MARK:
            raise PlainPickleError("damaged: a value is missing")
        return self.stack[-1]

    def pop(self) -> Any:
        value = self.top()
        self.stack.pop()
        return value

    def take(self, count: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(count)][::-1])

    def to_mark(self) -> list[Any]:
        """The values since the last mark, taken off the stack with it."""
        values: list[Any] = []
        while self.stack[-1] is not _MARK:
            values.append(self.stack.pop())
        self.stack.pop()
        return values[::-1]

    def do_mark(self) -> None:
        self.stack.append(_MARK)

    def do_pop(self) -> None:
        self.stack.pop()

    def do_pop_mark(self) -> None:
        self.to_mark()

    def do_dup(self) -> None:
        self.stack.append(self.top())

    def do_memoize(self) -> None:
        self.memo[len(self.memo)] = self.top()

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.to_mark()))

    def do_empty_list(self) -> None:
        self.stack.append([])

    def do_list(self) -> None:
        self.stack.append(self.to_mark())

    def do_append(self) -> None:
        value = self.pop()
        self.growing(list).append(value)

    def do_appends(self) -> None:
        values = self.to_mark()
        self.growing(list).extend(values)

    def do_empty_dict(self) -> None:
        self.stack.append({})

    def do_dict(self) -> None:
        values = self.to_mark()
        self.stack.append({})
        self.fill(values)

    def do_setitem(self) -> None:
        self.fill(list(self.take(2)))

    def do_setitems(self) -> None:
        self.fill(self.to_mark())

    def growing(self, kind: type) -> Any:
        if not isinstance(self.top(), kind):
            raise PlainPickleError("damaged: values are added to something that holds none")
        return self.top()

    def fill(self, values: list[Any]) -> None:
        target = self.growing(dict)
        if len(values) % 2 or not all(isinstance(key, str | int) for key in values[::2]):
            raise PlainPickleError("a dictionary is keyed by something other than names and numbers")
        target.update(zip(values[::2], values[1::2], strict=True))

    def do_global(self, argument: str) -> None:
        self.name(argument)

    def do_stack_global(self) -> None:
        module, name = self.take(2)
        self.name(f"{module} {name}")

    def name(self, full: str) -> None:
        if full not in _GLOBALS:
            raise PlainPickleError(
                f"it asks for {full.replace(' ', '.')!r}, which a pose file has no use for"
            )
        self.stack.append(_GLOBALS[full])

    def do_reduce(self) -> None:
        function, arguments = self.take(2)
        if not isinstance(function, _Known) or not isinstance(arguments, tuple):
            raise PlainPickleError("it calls something that is not allowed in a pose file")
        self.stack.append(_describe(function.name, arguments))

    def do_build(self) -> None:
        target, state = self.take(2)
        if isinstance(target, _Kind):
            _describe_kind(target, state)
        elif isinstance(target, Stored):
            _describe_array(target, state)
        else:
            raise PlainPickleError("it sets the state of something that is not an array")
        self.stack.append(target)


def _describe(name: str, arguments: tuple[Any, ...]) -> Any:
    """What calling one of the known names would describe."""
    match name, arguments:
        case "_reconstruct", (_Known("ndarray"), _, _):
            return Stored()
        case "dtype", (str() as code, *_):
            return _Kind(code)
        case "scalar", (_Kind() as kind, bytes() as data):
            return Stored(kind, (), False, data)
        case "_frombuffer", (bytes() as data, _Kind() as kind, tuple() as shape, order):
            return Stored(kind, _sizes(shape), order == "F", data)
        case "encode", (str() as text, "latin1" | "latin-1"):
            return text.encode("latin-1")
    raise PlainPickleError(f"it calls {name} in a way a pose file has no use for")


def _describe_kind(kind: _Kind, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
        raise PlainPickleError("an element type cannot be read")
    if any(part is not None for part in state[2:5]):
        raise PlainPickleError("an array has fields; plain numbers were expected")
    kind.order = state[1]


def _describe_array(stored: Stored, state: Any) -> None:
    match state:
        case (int(), tuple() as shape, _Kind() as kind, int() as fortran, (bytes() | list() | str()) as data):
            stored.kind, stored.shape, stored.fortran = kind, _sizes(shape), bool(fortran)
            # Python 2 wrote the bytes as text.
            stored.data = data.encode("latin-1") if isinstance(data, str) else data
        case _:
            raise PlainPickleError("an array cannot be read")


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) > 8 or not all(type(n) is int and 0 <= n < 1 << 32 for n in shape):
        raise PlainPickleError("an array has an impossible shape")
    return shape
