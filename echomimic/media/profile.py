"""Colour profiles: a picture in any colour space that its file describes becomes sRGB."""

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from echomimic.arrays import Doubles

# Pillow's modes, and the colour space that a profile for them describes.
_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}

# Modes that are another way to write one that has a profile.
_PLAIN = {"P": "RGB", "RGBa": "RGBA", "La": "LA", "YCbCr": "RGB", "HSV": "RGB"}

Primaries = tuple[float, ...]
"""Chromaticities x, y of white, red, green and blue."""

_SRGB: Primaries = (0.3127, 0.329, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE: Primaries = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)

# The exponent that is nearest to sRGB's curve, and (nearly) that of Adobe RGB.
_GAMMA = 2.2

# Difference of two chromaticities that is more than rounding.
_DIFFERS = 0.003

# Relative difference of two exponents that can be seen.
_BENDS = 0.05

# Exponents that a picture may have been coded with; others are damaged.
_EXPONENTS = (1.0, 4.0)

_EXIF, _INTEROP, _COLOUR_SPACE = 0x8769, 0xA005, 0xA001
"""Where a camera names its colour space (Exif 2.3, DCF 2.0): ``R03`` in the second, or 2 in the third."""


def to_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """The picture in sRGB, and a remark where its profile was used or could not be; alpha is kept.

    Without a profile, what a PNG's gAMA and cHRM say counts, and the Adobe RGB of cameras, which name it in
    the EXIF tags only.
    """
    if image.mode in ("1", "LAB"):  # black and white are the same in all, and Lab has no other
        return image, ""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        told = _from_png(image) or _from_exif(image)
        if told is None:
            return image, ""
        grey = image.mode in ("L", "LA", "La")
        data = told.curve() if grey else told.matrix()
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = " ".join(ImageCms.getProfileDescription(profile).split())[:60]
        if name.lower().startswith("srgb"):
            return image, ""
        return _converted(image, profile), f"its colour profile ({name}) was converted to sRGB"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
        return image, "its colour profile cannot be used and was left out"


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    alpha = None
    if "transparency" in image.info or image.mode in ("PA", "RGBa", "La"):
        image = image.convert("LA" if image.mode in ("L", "La") else "RGBA")
    image = image.convert(_PLAIN.get(image.mode, image.mode))
    if image.mode in ("RGBA", "LA"):
        alpha, image = image.getchannel("A"), image.convert(image.mode[:-1])
    space = profile.profile.xcolor_space.strip()
    if _SPACES.get(image.mode) != space:
        raise ValueError(f"a profile for {space} in a picture of mode {image.mode}")
    target = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(image, profile, target, outputMode="RGB")
    assert done is not None
    if alpha is not None:
        done.putalpha(alpha)
    return done


@dataclass(frozen=True)
class _Space:
    """A colour space of three primaries and an exponent, as an ICC profile (ICC.1:2001-04)."""

    name: str
    primaries: Primaries
    gamma: float

    def matrix(self) -> bytes:
        """For colours."""
        columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _to_d50(self.primaries).T, strict=True)
        tags = {name: _tag(b"XYZ ", _fixed(*column)) for name, column in columns}
        return self._profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), self._exponent()))

    def curve(self) -> bytes:
        """For grey."""
        return self._profile(b"GRAY", {b"kTRC": self._exponent()})

    def _exponent(self) -> bytes:
        return _tag(b"curv", struct.pack(">IH", 1, round(self.gamma * 256)))

    def _profile(self, space: bytes, tags: dict[bytes, bytes]) -> bytes:
        text = self.name.encode() + b"\0"
        tags = {
            b"desc": _tag(b"desc", struct.pack(">I", len(text)) + text + bytes(78)),
            b"wtpt": _tag(b"XYZ ", _fixed(*_D50)),
            **tags,
        }
        table, data, begin = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
        for name, body in tags.items():
            table += name + struct.pack(">II", begin + len(data), len(body))
            data += body
        head = struct.pack(">I4sI4s4s4s", begin + len(data), b"", 0x02400000, b"mntr", space, b"XYZ ")
        return (head + bytes(12) + b"acsp" + bytes(28) + _fixed(*_D50)).ljust(128, b"\0") + table + data


# White of a profile's colours, as XYZ.
_D50 = np.array([0.9642, 1.0, 0.8249])

# From XYZ to the cones' answers (Bradford), by which whites are adapted.
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _to_d50(primaries: Primaries) -> Doubles:
    """(3, 3) from linear RGB to XYZ as they look under D50."""
    white, *colours = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in np.reshape(primaries, (4, 2)))
    columns = np.stack(colours, 1)
    adapted = np.linalg.inv(_CONES) @ np.diag(_CONES @ _D50 / (_CONES @ white)) @ _CONES
    matrix: Doubles = adapted @ (columns * np.linalg.solve(columns, white))
    return matrix


def _tag(kind: bytes, data: bytes) -> bytes:
    body = kind + bytes(4) + data
    return body + bytes(-len(body) % 4)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _from_png(image: Image.Image) -> _Space | None:
    """What the chunks gAMA and cHRM tell, where it is not sRGB."""
    if "srgb" in image.info:
        return None
    coded, told = image.info.get("gamma"), image.info.get("chromaticity")
    gamma = 1 / coded if isinstance(coded, float) and coded > 0 else _GAMMA
    sound = isinstance(told, tuple) and len(told) == 8 and min(told[1::2]) > 0.001 and max(told) <= 1
    primaries = tuple(told) if sound and told is not None else _SRGB
    differs = max(abs(a - b) for a, b in zip(primaries, _SRGB, strict=True)) > _DIFFERS
    bends = abs(gamma / _GAMMA - 1) > _BENDS and _EXPONENTS[0] <= gamma <= _EXPONENTS[1]
    if not differs and not bends:
        return None
    return _Space("the PNG's own", primaries, gamma if bends else _GAMMA)


def _from_exif(image: Image.Image) -> _Space | None:
    """Adobe RGB, where the camera says so."""
    try:
        exif = image.getexif()
        named = str(exif.get_ifd(_INTEROP).get(1)).strip("\0 ") == "R03"
        if not named and exif.get_ifd(_EXIF).get(_COLOUR_SPACE) != 2:
            return None
    except MemoryError:
        raise
    except Exception:  # any of the tags may be odd
        return None
    return _Space("Adobe RGB, by its tags", _ADOBE, _GAMMA)
