"""Fuzzing the readers: sound files of every kind with bits, bytes and pieces changed, read in one process.

``python -m benchmarks.fuzz --minutes 5`` gives each kind that long (``--only pictures sounds`` some of them).
A reader gives a value or one line that names the file; anything else is kept in ``--keep`` with what
happened. The file that is being read lies in ``--keep``, in ``now``, should the process die.
"""

import argparse
import contextlib
import importlib
import io
import json
import pickle
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from echomimic.errors import EchoMimicError

HANGS = 20
"""Seconds after which a reader counts as hanging."""
MOST_MEMORY = 4_000_000_000
"""Bytes that the process may take at most: sound files here are a few kilobytes."""

Seeds = Callable[[Path], list[Path]]
Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Kind:
    """Sound files to begin with, and what reads them. ``inside``: the file lies in a folder that is read."""

    seeds: Seeds
    read: Reader
    inside: bool = False


class Hang(BaseException):
    """A reader took too long."""


def _alarm(*_: object) -> None:
    raise Hang


def changed(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """The same with one to eight places changed; half of the changes are near the beginning."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        if not made:
            break
        at = rng.randrange(min(len(made), rng.choice((64, 512, len(made)))))
        _CHANGES[rng.randrange(len(_CHANGES))](made, at, rng, others)
    return bytes(made)


def _flip(made: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    made[at] ^= 1 << rng.randrange(8)


def _number(made: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 127, 128, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
    made[at : at + size] = (value % 256**size).to_bytes(size, rng.choice(("little", "big")))


def _drop(made: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    del made[at : at + rng.choice((1, 4, 100, 10**9))]


def _double(made: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    made[at:at] = made[at : at + rng.choice((1, 4, 64, 1000))] * rng.choice((1, 2, 50))


def _splice(made: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    begin = rng.randrange(len(other))
    made[at : at + rng.choice((0, 8, 200))] = other[begin : begin + rng.choice((8, 200, 2000))]


def _noise(made: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    made[at : at + 16] = rng.randbytes(rng.choice((1, 16, 64)))


_CHANGES = (_flip, _flip, _number, _number, _drop, _double, _splice, _noise)


def pictures(folder: Path) -> list[Path]:
    """Every format that is opened, in several modes."""
    rng = np.random.default_rng(0)
    whole = Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "a.png": {},
        "b.jpg": {"exif": exif},
        "c.webp": {},
        "d.bmp": {},
        "e.tiff": {"compression": "tiff_lzw"},
        "f.jpg": {"progressive": True, "quality": 40},
        "g.webp": {"lossless": True},
        "h.tiff": {},
    }
    for name, options in made.items():
        whole.save(folder / name, **options)  # type: ignore[arg-type]
    for mode in ("L", "LA", "P", "RGBA", "I;16", "1"):
        source = whole.convert("L") if mode in ("I;16", "LA") else whole
        source.convert(mode).save(folder / f"m_{mode.replace(';', '')}.png")
    whole.convert("CMYK").save(folder / "k.jpg")
    whole.save(folder / "n.png", save_all=True, append_images=[whole, whole])
    return sorted(folder.iterdir())


def sounds(folder: Path) -> list[Path]:
    """Every container of sound, 0.3 s of a tone."""
    import av

    tone = (np.sin(np.arange(4800) * 0.1) * 9000).astype(np.int16)[None]
    coded = {"a.wav": "pcm_s16le", "b.wav": "pcm_f32le", "c.flac": "flac", "d.mp3": "mp3", "e.m4a": "aac"}
    coded |= {"f.ogg": "libvorbis", "g.opus": "libopus", "h.webm": "libopus", "i.mka": "aac"}
    coded |= {"j.aiff": "pcm_s16be"}
    for name, codec in coded.items():
        rate = 48000 if "opus" in codec else 16000
        with contextlib.suppress(Exception), av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            resampled = av.AudioResampler(stream.format, stream.layout, rate).resample(frame)
            container.mux([packet for one in resampled for packet in stream.encode(one)])
            container.mux(stream.encode(None))
    return sorted(path for path in folder.iterdir() if path.stat().st_size)


def films(folder: Path) -> list[Path]:
    """Containers of pictures, twelve frames of them."""
    import av

    rng = np.random.default_rng(0)
    coded = {"a.mp4": "libx264", "b.mkv": "libx264", "c.webm": "libvpx-vp9", "d.mov": "libx264"}
    coded |= {"e.avi": "mpeg4", "f.ts": "mpeg2video"}
    for name, codec in coded.items():
        with contextlib.suppress(Exception), av.open(str(folder / name), "w") as container:
            stream: Any = container.add_stream(codec, rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(12):
                picture = av.VideoFrame.from_ndarray(
                    rng.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24"
                )
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    return sorted(path for path in folder.iterdir() if path.stat().st_size)


def motions(folder: Path) -> list[Path]:
    """A face, plain and compressed."""
    from echomimic.motion.face_motion import FaceMotion
    from echomimic.motion.files.motion_file import Motion

    points = np.random.default_rng(0).uniform(100, 400, (3, 478, 3)).astype(np.float32)
    face = FaceMotion(points, fps=25.0, size=(512, 512))
    Motion(face=face).save(folder / "a.npz")
    with np.load(folder / "a.npz") as held:
        np.savez(folder / "b.npz", **{name: held[name] for name in held})
    return sorted(folder.iterdir())


def poses(folder: Path) -> list[Path]:
    """A frame of each official kind."""
    made: Any = importlib.import_module("tests.motion.files.test_official_poses")
    points = np.random.default_rng(0).uniform(100, 400, (468, 2))
    for protocol in (2, 4, 5):
        (folder / f"{protocol}.pkl").write_bytes(pickle.dumps(points, protocol=protocol))
    (folder / "0.npy").write_bytes(made.npy_of(made.v2_frame()))
    return sorted(folder.iterdir())


def cards(folder: Path) -> list[Path]:
    """The card of converted weights."""
    files = {"vae": "vae.safetensors", "denoiser": "v2/denoising_unet.safetensors"}
    card = {
        "format": 1,
        "dtype": "float16",
        "models": {"v2": files},
        "networks": {"unet": {"channels": [32, 64]}},
    }
    (folder / "echomimic.json").write_text(json.dumps(card))
    return sorted(folder.iterdir())


def weights(folder: Path) -> list[Path]:
    """Weight files in every form that is read."""
    import torch
    from safetensors.torch import save_file

    state = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2, dtype=torch.float16)}
    save_file(state, str(folder / "a.safetensors"))
    torch.save(state, folder / "b.pth")
    torch.save({"model": state}, folder / "c.pt", _use_new_zipfile_serialization=False)
    return sorted(folder.iterdir())


def lists(folder: Path) -> list[Path]:
    """Lists of jobs."""
    row = {"id": "a", "portrait": "p.jpg", "speech": "s.wav", "seed": 3, "size": 64, "driver": "auto"}
    (folder / "a.jsonl").write_text("\n".join(json.dumps({**row, "id": name}) for name in "abc"))
    (folder / "b.csv").write_text('id,portrait,speech,seed\na,p.jpg,s.wav,1\nb,"p.jpg",s.wav,2\n')
    return sorted(folder.iterdir())


def _read_sound(path: Path) -> object:
    from echomimic.media.audio import Speech

    return Speech.open(path).read(0, 16000)


def _read_picture(path: Path) -> object:
    from echomimic.media.image import read_picture

    return read_picture(path)


def _read_film(path: Path) -> object:
    from echomimic.media.video import VideoReader

    return [frame.shape for frame, _ in zip(VideoReader(path), range(60), strict=False)]


def _read_motion(path: Path) -> object:
    from echomimic.motion.files.motion_file import read_motion

    return read_motion(path)


def _read_card(path: Path) -> object:
    from echomimic.models import layouts

    return layouts.find("v2", path)


def _read_weights(path: Path) -> object:
    from echomimic.models.weight_file import Checkpoint

    held = Checkpoint(path)
    return dict(held.tensors(held.specs))


def _read_list(path: Path) -> object:
    from echomimic.batch.manifest import read_manifest

    return read_manifest(str(path))


KINDS: Mapping[str, Kind] = {
    "pictures": Kind(pictures, _read_picture),
    "sounds": Kind(sounds, _read_sound),
    "films": Kind(films, _read_film),
    "motions": Kind(motions, _read_motion),
    "poses": Kind(poses, _read_motion, inside=True),
    "cards": Kind(cards, _read_card, inside=True),
    "weights": Kind(weights, _read_weights),
    "lists": Kind(lists, _read_list),
}


def read_one(kind: Kind, path: Path) -> str:
    """Reads a file; what is wrong with how that ended, empty when all is well."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(HANGS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kind.read(path.parent if kind.inside else path)
        return ""
    except EchoMimicError as error:
        said = str(error)
        return "" if "\n" not in said and said else f"not one line: {said!r}"
    except Hang:
        return f"hangs: more than {HANGS} s"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.alarm(0)


def fuzz(name: str, seconds: float, seed: int, keep: Path) -> tuple[int, list[str]]:
    """Number of files read, and what went wrong."""
    kind, rng = KINDS[name], random.Random(f"{name} {seed}")
    count, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        (sound := Path(folder, "sound")).mkdir()
        good = kind.seeds(sound)
        contents = {path: path.read_bytes() for path in good}
        for path in good:
            if fault := read_one(kind, path):
                raise SystemExit(f"{path.name} is not read as it is: {fault}")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            path = rng.choice(good)
            (place := keep / "now").mkdir(exist_ok=True)
            bad = place / path.name
            bad.write_bytes(changed(contents[path], rng, list(contents.values())))
            count += 1
            if fault := read_one(kind, bad) or _too_much():
                wrong.append(f"{name} {count} ({path.name}): {fault}")
                shutil.copyfile(bad, keep / f"{name}-{count}{path.suffix}")
            shutil.rmtree(place)
    return count, wrong


def _too_much() -> str:
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"took {taken / 1e9:.1f} GB of memory" if taken > MOST_MEMORY else ""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for each kind")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="folder for files that went wrong")
    options = parser.parse_args(arguments)
    options.keep.mkdir(exist_ok=True)
    for name in options.only:
        with contextlib.redirect_stderr(io.StringIO()):
            count, wrong = fuzz(name, 60 * options.minutes, options.seed, options.keep)
        print(f"{name}: {count} files in {options.minutes:g} minutes, {len(wrong)} wrong", flush=True)
        seen = {fault.strip().splitlines()[-1]: fault for fault in wrong}
        print(*seen.values(), sep="\n", end="\n" if seen else "", flush=True)


if __name__ == "__main__":
    main()
