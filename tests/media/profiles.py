"""Small ICC profiles made from primaries, as cameras and phones embed them."""

import struct

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
    text = name.encode() + b"\0"
    described = struct.pack(">I", len(text)) + text + b"\0" * 8 + b"\0\0\0" + b"\0" * 67
    tags = {
        b"desc": _tag(b"desc", described),
        b"wtpt": _tag(b"XYZ ", _fixed(*_D50)),
        b"cprt": _tag(b"text", b"none\0"),
    }
    tags |= {n: _tag(b"XYZ ", _fixed(*matrix[:, i])) for i, n in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curve = _tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, body in tags.items():
        table += key + struct.pack(">II", at + len(data), len(body))
        data += body
    size = at + len(data)
    head = (
        struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
        + b"\0" * 12
        + b"acsp"
    )
    head += b"\0" * 28 + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + data


def to_srgb(rgb: np.ndarray, primaries: tuple[tuple[float, float], ...], gamma: float = 2.2) -> np.ndarray:
    """The same colours as 8-bit sRGB, reckoned from the definitions alone."""
    linear = np.linalg.solve(primaries_to_xyz(SRGB), primaries_to_xyz(primaries)) @ ((rgb / 255.0) ** gamma).T
    linear = np.clip(linear.T, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(coded * 255))
