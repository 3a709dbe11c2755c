"""Small ICC profiles made from primaries, as cameras and phones embed them."""

import itertools
import struct
import zlib
from pathlib import Path

import numpy as np

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
_D65, _D50 = np.array([0.95047, 1.0, 1.08883]), np.array([0.96422, 1.0, 0.82521])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def primaries_to_xyz(primaries: tuple[tuple[float, float], ...], white: np.ndarray = _D65) -> np.ndarray:
    """(3, 3) matrix from linear RGB to XYZ of white ``white``."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    return np.asarray(columns * np.linalg.solve(columns, white))


def _tag(kind: bytes, data: bytes) -> bytes:
    body = kind + b"\0\0\0\0" + data
    return body + b"\0" * (-len(body) % 4)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def profile(name: str, primaries: tuple[tuple[float, float], ...], gamma: float = 2.2) -> bytes:
    """An ICC v2 matrix profile with one exponent for all channels."""
    cones = _BRADFORD @ _D65
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD
    matrix = adapt @ primaries_to_xyz(primaries)
    tags = {n: _tag(b"XYZ ", _fixed(*matrix[:, i])) for i, n in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curve = _tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _assembled(b"RGB ", b"XYZ ", name, tags)


def _assembled(space: bytes, connects: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode() + b"\0"
    described = struct.pack(">I", len(text)) + text + b"\0" * 8 + b"\0\0\0" + b"\0" * 67
    tags = tags | {
        b"desc": _tag(b"desc", described),
        b"wtpt": _tag(b"XYZ ", _fixed(*_D50)),
        b"cprt": _tag(b"text", b"none\0"),
    }
    table, data, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, body in tags.items():
        table += key + struct.pack(">II", at + len(data), len(body))
        data += body
    size = at + len(data)
    head = (
        struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", space, connects) + b"\0" * 12 + b"acsp"
    )
    head += b"\0" * 28 + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + data


def print_profile() -> bytes:
    """An ICC v2 profile for CMYK: a table of its 16 corners in Lab, where all ink is black, one ink pure."""
    pure = {(0, 0, 0): (255, 128, 128), (1, 0, 0): (140, 90, 78), (0, 1, 0): (122, 202, 124)}
    pure |= {
        (0, 0, 1): (227, 123, 221),
        (1, 1, 0): (61, 150, 82),
        (1, 0, 1): (128, 60, 155),
        (0, 1, 1): (120, 196, 176),
    }
    corners = itertools.product((0, 1), repeat=4)
    table = b"".join(
        bytes(pure.get((c, m, y), (0, 128, 128)) if not k else (0, 128, 128)) for c, m, y, k in corners
    )
    every = bytes(range(256))
    unit = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = _tag(b"mft1", struct.pack(">4B", 4, 3, 2, 0) + unit + every * 4 + table + every * 3)
    return _assembled(b"CMYK", b"Lab ", "Print", {b"A2B0": lut, b"A2B1": lut, b"A2B2": lut})


def grey_profile(gamma: float) -> bytes:
    """An ICC v2 profile for grey."""
    curve = _tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    return _assembled(b"GRAY", b"XYZ ", "Grey", {b"kTRC": curve})


def to_srgb(rgb: np.ndarray, primaries: tuple[tuple[float, float], ...], gamma: float = 2.2) -> np.ndarray:
    """The same colours as 8-bit sRGB, reckoned from the definitions alone."""
    linear = np.linalg.solve(primaries_to_xyz(SRGB), primaries_to_xyz(primaries)) @ ((rgb / 255.0) ** gamma).T
    linear = np.clip(linear.T, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(coded * 255))


def write_png(path: Path, samples: np.ndarray, colour: int, chunks: list[tuple[bytes, bytes]]) -> Path:
    """A PNG of (H, W[, channels]) uint8 or uint16 samples of a colour type, with chunks of one's own."""
    deep = samples.astype(">u2") if samples.dtype == np.uint16 else samples
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 8 * samples.itemsize, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    coded = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
    return path
