"""Spoilt files of every kind: what people, disks, networks and mischief make of pictures,
sounds, films and motions."""

import io
import os
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Maker = Callable[[Path, random.Random, Path], Path]
"""Makes a spoilt file in a folder, out of a sound one, and returns the path to hand over."""


def _flip(folder: Path, rng: random.Random, good: Path) -> Path:
    """A sound file in which a few bytes are others."""
    data = bytearray(good.read_bytes())
    for _ in range(rng.choice((1, 5, 50))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return _put(folder, good, bytes(data))


def _cut(folder: Path, rng: random.Random, good: Path) -> Path:
    data = good.read_bytes()
    return _put(folder, good, data[: rng.randrange(1, len(data))])


def _noise(folder: Path, rng: random.Random, good: Path) -> Path:
    return _put(folder, good, rng.randbytes(rng.choice((1, 100, 5000))))


def _head_only(folder: Path, rng: random.Random, good: Path) -> Path:
    """The first bytes of a sound file, then noise."""
    return _put(folder, good, good.read_bytes()[: rng.choice((8, 64, 512))] + rng.randbytes(3000))


def _put(folder: Path, good: Path, data: bytes) -> Path:
    path = folder / f"spoilt{good.suffix}"
    path.write_bytes(data)
    return path


def _text(folder: Path, rng: random.Random, good: Path) -> Path:
    words = (
        "<html><body>404</body></html>",
        "version https://git-lfs.github.com/spec/v1\noid x\n",
        "{}",
        "\0" * 50,
    )
    return _put(folder, good, (rng.choice(words) * rng.choice((1, 40))).encode())


def _empty(folder: Path, rng: random.Random, good: Path) -> Path:
    return _put(folder, good, b"")


def _missing(folder: Path, rng: random.Random, good: Path) -> Path:
    return folder / rng.choice(("none", "no/such/file", "n\nline")) / f"x{good.suffix}"


def _a_folder(folder: Path, rng: random.Random, good: Path) -> Path:
    path = folder / f"folder{rng.choice(('', good.suffix))}"
    path.mkdir()
    if rng.random() < 0.5:
        (path / f"0{good.suffix}").write_bytes(good.read_bytes())
    return path


def _long_name(folder: Path, rng: random.Random, good: Path) -> Path:
    return folder / ("n" * rng.randrange(240, 301) + good.suffix)


def _odd_name(folder: Path, rng: random.Random, good: Path) -> Path:
    name = rng.choice(
        ("a\nb", "a\tb", "-x", "a:b", "100%d", " ", "ü口", "a'b\"c", "\udcff", "\u202e", "a\0b", "\x1b[31m")
    )
    path = folder / f"{name}{good.suffix}"
    if "\0" not in name:
        path.write_bytes(good.read_bytes()[: rng.choice((30, 10**9))])
    return path


def _pipe(folder: Path, rng: random.Random, good: Path) -> Path:
    path = folder / f"pipe{good.suffix}"
    os.mkfifo(path)
    return path


def _device(folder: Path, rng: random.Random, good: Path) -> Path:
    return Path(
        rng.choice(("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/proc/self/status", "/"))
    )


def _loop(folder: Path, rng: random.Random, good: Path) -> Path:
    path = folder / f"loop{good.suffix}"
    path.symlink_to(path.name if rng.random() < 0.5 else "nowhere")
    return path


def _bomb(folder: Path, rng: random.Random, good: Path) -> Path:
    """A small archive, picture or sound that says that it is huge."""
    if good.suffix == ".npz":
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "<f4", "fortran_order": False, "shape": (100_000, 478, 3)}
            )
            archive.writestr("face_points.npy", header.getvalue() + bytes(30_000_000))
        return _put(folder, good, data.getvalue())
    blown = bytearray(good.read_bytes())
    for at in range(16, min(60, len(blown))):
        if rng.random() < 0.3:
            blown[at] = 255
    return _put(folder, good, bytes(blown))


SPOIL: Mapping[str, Maker] = {
    "flipped": _flip,
    "cut": _cut,
    "noise": _noise,
    "head only": _head_only,
    "text": _text,
    "empty": _empty,
    "missing": _missing,
    "folder": _a_folder,
    "long name": _long_name,
    "odd name": _odd_name,
    "pipe": _pipe,
    "device": _device,
    "loop": _loop,
    "bomb": _bomb,
}
"""The kinds, by name; a kind "foreign" (a sound file of another sort) is made by the caller."""


def odd_motion(rng: random.Random) -> dict[str, np.ndarray]:
    """Arrays of a motion file whose numbers are plain, and make no sense."""
    frames = rng.choice((1, 2, 30))
    points = np.random.default_rng(rng.randrange(10**6)).uniform(0, 512, (frames, 478, 3)).astype(np.float32)
    spoilt: list[np.ndarray] = [
        points,
        points * 0,
        points * 0 + 7,
        points * 9e6 / 512,
        points * 1e30,
        -points,
        points[:0],
    ]
    points = rng.choice(spoilt)
    size = rng.choice(((512, 512), (1, 1), (65536, 1), (0, 0), (-5, 9), (512, 10**9), (1, 65536)))
    fps = rng.choice((25.0, 1e-300, 0.0, -1.0, np.inf, np.nan, 1e9, 0.1, 1000.0))
    made = {
        "version": 1,
        "points": points,
        "fps": fps,
        "size": np.array(size),
        "found": np.ones(len(points), bool),
    }
    if rng.random() < 0.2:
        made["found"] = np.zeros(len(points), bool)
    if rng.random() < 0.2:
        made["pose"] = np.zeros((len(points), 4, 4), np.float32)
    if rng.random() < 0.2:
        del made[rng.choice(sorted(made))]
    return {f"face_{name}": np.asarray(value) for name, value in made.items()}
