"""Pictures in and out: every common format becomes (H, W, 3) uint8 RGB, upright, without alpha."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import (
    BmpImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from echomimic.arrays import AnyArray
from echomimic.arrays import Picture as Picture
from echomimic.errors import PictureError
from echomimic.media.files import check_readable
from echomimic.media.output import write_whole
from echomimic.media.profile import to_srgb

SMALLEST, _LARGEST = 64, 8000
_FORMATS = "PNG, JPEG, WebP, BMP or TIFF"
_PLUGINS = (PngImagePlugin, JpegImagePlugin, WebPImagePlugin, BmpImagePlugin, TiffImagePlugin)
# What Pillow may open, and the plugins that know it (importing is enough). JPEG has phones' MPO in it.
_OPENED = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")

# What phones write that Pillow does not read, by the brand in the file's head.
_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
}

Tell = Callable[[str], None]


def read_picture(source: "Path | str | Image.Image | AnyArray", tell: Tell = lambda remark: None) -> Picture:
    """The picture as (H, W, 3) uint8 RGB.

    Files are turned upright by their EXIF tag and brought to sRGB by their colour profile, of which ``tell``
    gets one line; alpha is laid on the file's own background colour, else on white;
    grey, palette and 16-bit pictures are converted; of an animation the first frame is taken. Arrays are
    (H, W), (H, W, 3) or (H, W, 4), uint8 or floats in 0…1. Raises :class:`PictureError`.
    """
    if isinstance(source, np.ndarray):
        picture, name = _from_array(source), "the picture"
    elif isinstance(source, Image.Image):
        picture, name = _flatten(source, lambda remark: None), "the picture"
    else:
        picture, name = _read_file(Path(source), tell), str(source)
    height, width = picture.shape[:2]
    _check_size(width, height, name)
    return picture


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < SMALLEST:
        raise PictureError(
            f"{name} is {width}x{height}: too small; use a picture of at least {SMALLEST} pixels a side"
        )
    if max(width, height) > _LARGEST:
        raise PictureError(
            f"{name} is {width}x{height}: too large; scale it down to at most {_LARGEST} pixels a side"
        )


@contextlib.contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A file opened by Pillow, if its format is one of those that are read; raises what Pillow raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd tags, which do not matter here
        with Image.open(path, formats=_OPENED) as image:
            yield image


def format_of(path: Path) -> str:
    """The format of a picture that is read, as Pillow names it: ``PNG``, ``JPEG``, ``WEBP``, ``BMP``,
    ``TIFF``."""
    with open_picture(path) as image:
        name = image.format or ""
    return "JPEG" if name == "MPO" else name  # a phone's JPEG with a second picture in it


def _read_file(path: Path, tell: Tell) -> Picture:
    check_readable(path, PictureError, f"a picture ({_FORMATS})")
    try:
        with open_picture(path) as image:
            _check_size(image.width, image.height, str(path))
            return _flatten(image, lambda remark: tell(f"{path}: {remark}"))
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise PictureError(f"{path} is {_kind(path)}; save it anew as PNG or JPEG") from None
    except Image.DecompressionBombError:
        raise PictureError(
            f"{path} is too large; scale it down to at most {_LARGEST} pixels a side"
        ) from None
    except Exception as error:  # a damaged file can fail in any way its bytes happen to spell
        raise PictureError(f"{path} cannot be read ({_reason(error)}); save it anew as PNG or JPEG") from None


def _kind(path: Path) -> str:
    """What a file is that is not opened, as far as its head tells."""
    with path.open("rb") as file:
        head = file.read(12)
    known = _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
    return f"{known}, which this program does not read" if known else "not a picture this program reads"


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _flatten(image: Image.Image, tell: Tell) -> Picture:
    image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _from_deep_grey(image)
    image, remark = to_srgb(image)
    if remark:
        tell(remark)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        back = Image.new("RGBA", image.size, _background(image))
        image = Image.alpha_composite(back, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF tag wants it shown; as it is where the tag makes no sense."""
    try:
        return ImageOps.exif_transpose(image) or image
    except MemoryError:
        raise
    except Exception:  # Pillow writes the other tags anew on the way, and any of them may be odd
        return image


def _background(image: Image.Image) -> tuple[int, int, int]:
    colour = image.info.get("background")
    if isinstance(colour, tuple) and len(colour) >= 3:
        red, green, blue = (int(v) for v in colour[:3])
        return red, green, blue
    return 255, 255, 255


# Value up to which floats are meant as 0…1, with lights above white; above it they count in 8 or 16 bits.
_BRIGHTEST = 8.0


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16- or 32-bit integers, or floats, to 8 bits: by the range that the values show to be meant."""
    grey: AnyArray = np.asarray(image)
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    ranges = (1.0,) if top <= _BRIGHTEST and grey.dtype.kind == "f" else (255.0, 65535.0, 2.0**31 - 1)
    full = next((reach for reach in ranges if top <= reach), ranges[-1])
    eight = Image.fromarray(np.clip(np.round(values * (255.0 / full)), 0, 255).astype(np.uint8))
    eight.info = {**image.info}
    clear = eight.info.pop("transparency", None)
    if isinstance(clear, int):
        eight.putalpha(Image.fromarray(np.where(grey == clear, 0, 255).astype(np.uint8)))
    return eight


def _from_array(array: AnyArray) -> Picture:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PictureError(f"a picture array has shape {array.shape}; give (H, W), (H, W, 3) or (H, W, 4)")
    if array.dtype.kind == "f":
        numbers: Any = array
        array = np.clip(np.round(np.nan_to_num(numbers) * 255.0), 0, 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise PictureError(f"a picture array holds {array.dtype}; give uint8, or floats in 0…1")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return _flatten(Image.fromarray(np.ascontiguousarray(array)), lambda remark: None)


def resize(picture: Picture, width: int, height: int) -> Picture:
    """``picture`` at width × height pixels: by area when it shrinks, bicubic when it grows."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = width * height < picture.shape[0] * picture.shape[1]
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    reduced = Image.fromarray(picture)
    if shrinks and min(picture.shape[0] / height, picture.shape[1] / width) < 3:
        how = Image.Resampling.LANCZOS
    return np.asarray(reduced.resize((width, height), how))


def write_picture(path: Path, picture: Picture) -> None:
    """Writes (H, W, 3) uint8 RGB as PNG, whole or not at all. Raises
    :class:`~echomimic.errors.OutputError`."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="PNG")
    write_whole(path, data.getvalue())
