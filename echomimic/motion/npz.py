"""Plain arrays in and out of files, without ever running what a file says.

One ``.npz`` holds named arrays of numbers or text. Reading checks every header before memory is taken, so a
broken or hostile file gives a DriverError and nothing else.
"""

from __future__ import annotations

import ast
import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.arrays import AnyArray
from echomimic.errors import DriverError
from echomimic.media.files import check_readable
from echomimic.media.output import write_whole

Arrays = dict[str, AnyArray]

MAGIC = b"\x93NUMPY"
# An hour of face and body at 25 frames a second is about 0.8 GB.
MOST_BYTES = 2 << 30
# A motion has fifteen arrays.
_MOST_MEMBERS = 64
_LARGE, _DENSEST = 256 << 20, 200
"""Bytes from which on a file must not unpack to so many times its size: motion is noise, and packs badly."""

# What NumPy writes; others have faults of their own, and may ask for gigabytes to unpack a kilobyte.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_ANEW = "make it anew with `echomimic motion extract` or `speak`"
_PLAIN = frozenset("biufU")
# What zipfile raises for damaged, encrypted (RuntimeError) or unknown (NotImplementedError is one too)
# members.
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    KeyError,
    struct.error,
)


def npy_header(data: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """Read a ``.npy`` header: (dtype text, Fortran order, shape, where the data starts).

    Raises ValueError when it is not a well formed header of a plain, unstructured array.
    """
    if len(data) < 10 or data[:6] != MAGIC or data[6] not in (1, 2, 3):
        raise ValueError("no .npy header")
    start, form = (10, "<H") if data[6] == 1 else (12, "<I")
    if len(data) < start:
        raise ValueError("the .npy header is cut off")
    length = struct.unpack(form, data[8:start])[0]
    if length > 4096 or len(data) < start + length:
        raise ValueError("the .npy header is cut off or too long")
    fields = _literal(data[start : start + length])
    descr, order, shape = fields.get("descr"), fields.get("fortran_order"), fields.get("shape")
    sizes = shape if isinstance(shape, tuple) else (-1,)
    if not isinstance(descr, str) or not isinstance(order, bool) or len(sizes) > 8:
        raise ValueError("the .npy header is not that of a plain array")
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in sizes):
        raise ValueError("the .npy header names an impossible shape")
    return descr, order, sizes, start + length


def _literal(text: bytes) -> dict[Any, Any]:
    try:
        fields = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as fault:
        raise ValueError("the .npy header cannot be read") from fault
    if not isinstance(fields, dict):
        raise ValueError("the .npy header is no dictionary")
    return fields


def parse_npy(data: bytes) -> AnyArray:
    """One ``.npy`` file of numbers or text as an array. Raises ValueError for anything else."""
    descr, fortran, shape, start = npy_header(data)
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError, SyntaxError) as fault:
        raise ValueError("the .npy header names an unknown type") from fault
    if dtype.kind not in _PLAIN or dtype.itemsize == 0:
        raise ValueError(f"type {descr!r} is not plain numbers")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError("the file is cut off or longer than its header says")
    flat = np.frombuffer(data, dtype=dtype, offset=start)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def read_npz(path: str | os.PathLike[str]) -> Arrays:
    """All arrays of an ``.npz`` file by name. Raises DriverError naming the file."""
    check_readable(Path(path), DriverError, "a motion file (.npz)")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            total = sum(m.file_size for m in members)
            bomb = total > _LARGE and total > _DENSEST * sum(m.compress_size for m in members)
            if len(members) > _MOST_MEMBERS or total > MOST_BYTES or bomb:
                raise ValueError("it unpacks to more than a motion file can hold")
            return {m.filename.removesuffix(".npy"): parse_npy(_member(archive, m)) for m in members}
    except _ZIP_FAULTS as fault:
        raise DriverError(f"{path} is not a readable motion file ({fault}); {_ANEW}") from fault


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in _PACKINGS:
        raise ValueError(f"member {member.filename} is packed in a way that NumPy does not use")
    with archive.open(member) as stream:
        data = stream.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ValueError(f"member {member.filename} is not as long as it says")
    return data


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write named arrays as a compressed ``.npz``, whole or not at all. Raises OutputError."""
    buffer = io.BytesIO()
    named = {name: np.asarray(value) for name, value in arrays.items()}
    np.savez_compressed(buffer, **named)  # type: ignore[arg-type]
    write_whole(Path(path), buffer.getvalue())
