"""Every kind of picture that people have becomes upright RGB; the rest is refused with the remedy."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from echomimic.errors import PictureError
from echomimic.media.image import read_picture, resize
from tests.media.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    grey_profile,
    print_profile,
    profile,
    to_srgb,
    write_png,
)


@pytest.fixture
def ramp() -> np.ndarray:
    x = np.linspace(0, 255, 96).astype(np.uint8)
    return np.stack(
        [np.tile(x, (72, 1)), np.full((72, 96), 40, np.uint8), np.full((72, 96), 200, np.uint8)], -1
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_formats(tmp_path: Path, ramp: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(ramp).save(path, quality=95)
    picture = read_picture(path)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - ramp).mean() < 4


def test_exif_rotation(tmp_path: Path, ramp: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp).save(tmp_path / "p.jpg", exif=exif)
    assert read_picture(tmp_path / "p.jpg").shape == (96, 72, 3)


def test_alpha_lies_on_white(tmp_path: Path, ramp: np.ndarray) -> None:
    alpha = np.zeros(ramp.shape[:2], np.uint8)
    alpha[:, 48:] = 255
    Image.fromarray(np.dstack([ramp, alpha])).save(tmp_path / "p.png")
    picture = read_picture(tmp_path / "p.png")
    assert (picture[:, :48] == 255).all()
    assert (picture[:, 48:] == ramp[:, 48:]).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK"])
def test_grey_palette_and_print_colours(tmp_path: Path, ramp: np.ndarray, mode: str) -> None:
    path = tmp_path / ("p.tiff" if mode == "CMYK" else "p.png")
    Image.fromarray(ramp).convert(mode).save(path)
    assert read_picture(path).shape == ramp.shape


def test_sixteen_bits(tmp_path: Path) -> None:
    deep = np.tile(np.linspace(0, 65535, 80).astype(np.uint16), (70, 1))
    Image.fromarray(deep).save(tmp_path / "p.png")
    picture = read_picture(tmp_path / "p.png")
    assert picture[0, 0, 0] == 0
    assert picture[0, -1, 0] == 255
    assert abs(int(picture[0, 40, 0]) - 129) <= 1


def test_arrays(ramp: np.ndarray) -> None:
    assert (read_picture(ramp) == ramp).all()
    assert (read_picture(ramp.astype(np.float32) / 255) == ramp).all()
    assert read_picture(ramp[..., 0]).shape == ramp.shape
    with pytest.raises(PictureError, match="shape"):
        read_picture(np.zeros((2, 3, 70, 70)))


def test_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("RGB", (300, 63)).save(tmp_path / "small.png")
    Image.new("L", (8001, 70)).save(tmp_path / "large.png")
    whole = tmp_path / "whole.png"
    Image.effect_noise((200, 200), 50).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:2000])
    for name, says in {
        "missing.png": "no such file",
        ".": "is a folder",
        "text.png": "not a picture",
        "small.png": "too small",
        "large.png": "too large",
        "cut.png": "cannot be read",
    }.items():
        with pytest.raises(PictureError, match=says) as caught:
            read_picture(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_resize_keeps_the_mean(ramp: np.ndarray) -> None:
    for size in ((24, 18), (60, 45), (192, 144)):
        small = resize(ramp, *size)
        assert small.shape[:2] == size[::-1]
        assert np.abs(small.mean((0, 1)) - ramp.mean((0, 1))).max() < 1.5


COLOURS = np.array(
    [[224, 124, 82], [120, 90, 70], [200, 170, 150], [40, 60, 90], [128, 128, 128], [250, 240, 235]]
)


@pytest.mark.parametrize(("name", "primaries"), [("Display P3", DISPLAY_P3), ("Adobe RGB (1998)", ADOBE_RGB)])
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_a_colour_profile_is_brought_to_srgb(tmp_path: Path, name: str, primaries: Any, suffix: str) -> None:
    flat = np.repeat(np.repeat(COLOURS.reshape(2, 3, 3), 40, 0), 40, 1).astype(np.uint8)
    path = tmp_path / f"p.{suffix}"
    told: list[str] = []
    Image.fromarray(flat).save(path, icc_profile=profile(name, primaries), lossless=True)
    seen = read_picture(path, told.append)[20::40, 20::40].reshape(-1, 3)
    assert np.abs(seen - to_srgb(COLOURS, primaries)).max() <= 1
    assert told == [f"{path}: its colour profile ({name}) was converted to sRGB"]


def test_alpha_and_grey_keep_their_place_beside_a_profile(tmp_path: Path) -> None:
    layered = np.zeros((80, 80, 4), np.uint8)
    layered[:, 40:] = (224, 124, 82, 255)
    Image.fromarray(layered).save(tmp_path / "p.png", icc_profile=profile("Display P3", DISPLAY_P3))
    picture = read_picture(tmp_path / "p.png")
    assert (picture[:, :40] == 255).all()
    assert np.abs(picture[40, 60] - to_srgb(COLOURS[:1], DISPLAY_P3)[0]).max() <= 1


FLAT = np.repeat(np.repeat(COLOURS.reshape(2, 3, 3), 40, 0), 40, 1).astype(np.uint8)


def seen_in(path: Path, told: list[str] | None = None) -> np.ndarray:
    """The six colours of a picture like ``FLAT``."""
    lines: list[str] = [] if told is None else told
    return read_picture(path, lines.append)[20::40, 20::40].reshape(-1, 3)


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("LA", "png"), ("L", "jpg"), ("L", "tiff")])
@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_a_profile_for_grey(tmp_path: Path, mode: str, suffix: str, gamma: float) -> None:
    grey = Image.fromarray(FLAT).convert("L")
    grey.convert(mode).save(tmp_path / f"p.{suffix}", icc_profile=grey_profile(gamma), quality=100)
    values = np.repeat(np.asarray(grey)[20::40, 20::40].reshape(-1, 1), 3, 1)
    assert np.abs(seen_in(tmp_path / f"p.{suffix}") - to_srgb(values, SRGB, gamma)).max() <= 2


def test_a_profile_for_grey_takes_no_colours_away(tmp_path: Path) -> None:
    told: list[str] = []
    Image.fromarray(FLAT).save(tmp_path / "p.png", icc_profile=grey_profile(1.8))
    assert (seen_in(tmp_path / "p.png", told) == COLOURS).all()
    assert "was left out" in told[0]


@pytest.mark.parametrize("suffix", ["tiff", "jpg"])
def test_a_profile_for_print(tmp_path: Path, suffix: str) -> None:
    inks = np.zeros((80, 120, 4), np.uint8)
    inks[:, 40:80, 3], inks[:, 80:] = 255, (0, 255, 255, 0)  # paper, black ink, red
    picture = Image.fromarray(inks, "CMYK")
    picture.save(tmp_path / f"p.{suffix}", icc_profile=print_profile(), quality=100)
    paper, black, red = seen_in(tmp_path / f"p.{suffix}")[:3].astype(int)
    assert paper.min() > 250
    assert black.max() < 5
    assert red[0] > 180
    assert red[1:].max() < 80


PNG_P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
PNG_SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("gamma", "primaries", "wanted"),
    [
        (45455, PNG_P3, (DISPLAY_P3, 2.2)),
        (None, PNG_P3, (DISPLAY_P3, 2.2)),
        (100000, None, (SRGB, 1.0)),
        (55556, PNG_SRGB, (SRGB, 1.8)),
        (45455, PNG_SRGB, None),
        (45455, None, None),
        (0, None, None),
        (7, bytes(32), None),
        (4294967295, b"\xff" * 32, None),
    ],
)
def test_what_a_png_says_of_its_colours(
    tmp_path: Path, deep: bool, gamma: int | None, primaries: bytes | None, wanted: Any
) -> None:
    chunks = [] if gamma is None else [(b"gAMA", struct.pack(">I", gamma))]
    chunks += [] if primaries is None else [(b"cHRM", primaries)]
    samples = FLAT.astype(np.uint16) * 257 if deep else FLAT
    told: list[str] = []
    seen = seen_in(write_png(tmp_path / "p.png", samples, 2, chunks), told)
    assert np.abs(seen - (COLOURS if wanted is None else to_srgb(COLOURS, *wanted))).max() <= 1
    assert len(told) == (wanted is not None)
    write_png(tmp_path / "p.png", samples, 2, [*chunks, (b"sRGB", b"\0")])
    assert (seen_in(tmp_path / "p.png") == COLOURS).all()


@pytest.mark.parametrize("orientation", [1, 3])
@pytest.mark.parametrize("tags", [{0xA001: 65535, 0xA005: {1: "R03"}}, {0xA001: 2}])
def test_adobe_rgb_that_only_the_tags_name(tmp_path: Path, tags: dict[int, Any], orientation: int) -> None:
    """As cameras do that are set to it: they embed no profile."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update(tags)
    Image.fromarray(FLAT).save(tmp_path / "p.jpg", quality=100, subsampling=0, exif=exif)
    told: list[str] = []
    seen = seen_in(tmp_path / "p.jpg", told)[:: -1 if orientation == 3 else 1]
    assert np.abs(seen - to_srgb(COLOURS, ADOBE_RGB)).max() <= 4
    assert told == [
        f"{tmp_path / 'p.jpg'}: its colour profile (Adobe RGB, by its tags) was converted to sRGB"
    ]


@pytest.mark.parametrize("top", [1.0, 1.3, 4.0])
def test_floats_with_lights_above_white_are_no_dark_picture(tmp_path: Path, top: float) -> None:
    deep = np.full((80, 80), 0.5, np.float32)
    deep[40:] = top
    Image.fromarray(deep).save(tmp_path / "p.tiff")
    assert read_picture(tmp_path / "p.tiff")[::79, 0, 0].tolist() == [128, 255]


def test_integers_of_32_bits(tmp_path: Path) -> None:
    deep = np.full((80, 80), 2**30, np.int32)
    deep[40:] = 2**31 - 1
    Image.fromarray(deep).save(tmp_path / "p.tiff")
    assert read_picture(tmp_path / "p.tiff")[::79, 0, 0].tolist() == [128, 255]


def test_sixteen_bit_grey_keeps_its_clear_value(tmp_path: Path) -> None:
    deep = np.full((80, 80), 124 * 257, np.uint16)
    deep[40:] = 60 * 257
    path = write_png(tmp_path / "p.png", deep, 0, [(b"tRNS", struct.pack(">H", 60 * 257))])
    assert read_picture(path)[::79, 0, 0].tolist() == [124, 255]


@pytest.mark.parametrize("broken", [b"x", b"\0" * 500, profile("P3", DISPLAY_P3)[:200], None])
def test_a_profile_that_cannot_be_used_is_left_out_and_said(
    tmp_path: Path, ramp: np.ndarray, broken: Any
) -> None:
    picture = Image.fromarray(ramp)
    if broken is None:  # a profile for colours in a grey picture
        picture, broken = picture.convert("L"), profile("P3", DISPLAY_P3)
    told: list[str] = []
    picture.save(tmp_path / "p.png", icc_profile=broken)
    assert (read_picture(tmp_path / "p.png", told.append) == np.asarray(picture.convert("RGB"))).all()
    assert "was left out" in told[0]


def test_an_srgb_profile_changes_nothing_and_is_not_worth_a_word(tmp_path: Path, ramp: np.ndarray) -> None:
    told: list[str] = []
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(ramp).save(tmp_path / "p.png", icc_profile=srgb)
    assert (read_picture(tmp_path / "p.png", told.append) == ramp).all()
    assert told == []


@pytest.mark.parametrize("suffix", ["gif", "eps", "ppm", "tga", "ico", "pcx"])
def test_formats_that_are_not_named_are_not_opened(tmp_path: Path, ramp: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(ramp).save(path)
    path.rename(tmp_path / "p.png")
    with pytest.raises(PictureError, match="not a picture this program reads; save it anew as PNG or JPEG"):
        read_picture(tmp_path / "p.png")


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1"])
def test_heic_is_called_by_its_name(tmp_path: Path, brand: bytes) -> None:
    (tmp_path / "p.heic").write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(
        PictureError, match="is HEIC, which this program does not read; save it anew as PNG or JPEG"
    ):
        read_picture(tmp_path / "p.heic")


def test_odd_tags_and_numbers_are_silent(tmp_path: Path, ramp: np.ndarray) -> None:
    deep = np.full((80, 80), 0.5, np.float32)
    deep[:10], deep[10:20] = np.nan, np.inf
    Image.fromarray(deep).save(tmp_path / "p.tiff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (read_picture(tmp_path / "p.tiff")[30:] == 128).all()
        Image.fromarray(ramp).save(
            tmp_path / "q.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(60))
        )
        assert read_picture(tmp_path / "q.jpg").shape == ramp.shape
        Image.fromarray(ramp).save(tmp_path / "r.jpg", exif=b"Exif\0\0MM\0*" + b"\xff" * 40)
        assert read_picture(tmp_path / "r.jpg").shape == ramp.shape
