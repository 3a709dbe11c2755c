"""What the tests of the page need: a server process, a small portrait and speech, an installed Chromium."""

import io
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from echomimic.media.audio import RATE, Speech

EXAMPLE = Path(__file__).resolve().parents[2] / "echomimic" / "example"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PICTURE = 256


def find_chromium() -> str | None:
    """An installed Chromium; none is ever downloaded."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def find_axe() -> Path | None:
    """The accessibility checker's script, where its package is installed."""
    found = find_spec("axe_playwright_python")
    return Path(str(found.origin)).parent / "axe.min.js" if found else None


def flags(folder: Path) -> list[str]:
    """Chromium's own: a microphone that says the shipped speech, a camera that shows the shipped portrait."""
    return [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'speech.wav'}",
        f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        "--autoplay-policy=no-user-gesture-required",
    ]


def make_media(folder: Path) -> None:
    """``portrait.png``, ``speech.wav`` (2 s), ``long.wav`` (20 s) and ``camera.mjpeg``."""
    picture = Image.open(EXAMPLE / "portrait.jpg").convert("RGB").resize((PICTURE, PICTURE))
    picture.save(folder / "portrait.png")
    shot = io.BytesIO()
    picture.resize((480, 480)).save(shot, "JPEG", quality=95)
    (folder / "camera.mjpeg").write_bytes(shot.getvalue() * 30)
    samples = Speech.open(EXAMPLE / "speech.flac").read(0, 2 * RATE)
    write_wav(folder / "speech.wav", samples)
    write_wav(folder / "long.wav", np.tile(samples, 10))


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Mono, 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype(np.int16).tobytes())


@contextmanager
def served(home: Path, *more: str) -> Iterator[str]:
    """A studio in a process of its own; its address with the token."""
    command = [
        sys.executable,
        "-m",
        "echomimic",
        "studio",
        "--home",
        str(home),
        "--port",
        "0",
        "--no-browser",
        *more,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http"), address
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextmanager
def proxied(port: int) -> Iterator[int]:
    """A reverse proxy in a process of its own before a studio at ``port``; its own port."""
    command = [sys.executable, str(Path(__file__).with_name("proxy.py")), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=20)
