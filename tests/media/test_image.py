"""Every kind of picture that people have becomes upright RGB; the rest is refused with the remedy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echomimic.errors import PictureError
from echomimic.media.image import read_picture, resize


@pytest.fixture
def ramp() -> np.ndarray:
    x = np.linspace(0, 255, 96).astype(np.uint8)
    return np.stack([np.tile(x, (72, 1)), np.full((72, 96), 40, np.uint8), np.full((72, 96), 200, np.uint8)], -1)


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
