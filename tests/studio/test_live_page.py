"""The page of `echomimic live` in a real Chromium with a fake microphone, and clients that behave badly."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("uvicorn", reason='the live page needs its extra: pip install "echomimic-studio[studio]"')
pytest.importorskip("websockets.sync.client", reason="the socket is tested with websockets")

from websockets.sync.client import ClientConnection, connect

from tests.studio.browser import EXAMPLE, find_chromium, flags, make_media

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:connect:DeprecationWarning"
    ),  # some clients are never closed, on purpose
]
START = json.dumps({"type": "start", "rate": 16_000, "pace": "clock"})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The live page in a process of its own; its address with the token."""
    command = [sys.executable, "-m", "echomimic", "live", "--portrait", str(EXAMPLE / "portrait.jpg")]
    more = ["--size", "128", "--port", "0", "--no-browser"]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def opened(address: str, **more: Any) -> ClientConnection:
    """A client's socket, started and ready."""
    parts = urlsplit(address)
    key = parse_qs(parts.query)["token"][0]
    made: ClientConnection = connect(
        f"ws://{parts.netloc}/api/live",
        additional_headers={"Authorization": f"Bearer {key}"},
        proxy=None,
        **more,
    )
    made.send(START)
    assert json.loads(made.recv(timeout=20))["type"] == "ready"
    return made


def speaks(address: str) -> bool:
    """Whether a new client is served."""
    with opened(address) as client:
        client.send(b"\0\0" * 3200)
        return len(client.recv(timeout=20)) > 20


def test_a_client_that_vanishes_ends_only_its_own_session(address: str) -> None:
    for _ in range(10):  # more than may be open at once
        client = opened(address)
        client.recv(timeout=20)
        client.socket.shutdown(socket.SHUT_RDWR)
        client.socket.close()
        time.sleep(0.2)
    assert speaks(address)


def test_a_client_that_never_reads_does_not_hold_up_others(address: str) -> None:
    silent = opened(address, max_queue=1)
    silent.send(b"\0\0" * 160_000)
    assert speaks(address)
    silent.socket.close()


def test_ten_megabytes_at_once_are_taken_or_refused_and_frames_go_on(address: str) -> None:
    with opened(address) as client:
        client.send(b"\0\0" * (5 * 2**20))
        before = client.recv(timeout=20)
        assert len(before) > 20
    with opened(address) as client:
        client.send('{"type": "interrupt"}')
        assert len(client.recv(timeout=20)) > 20
    assert speaks(address)


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: the page is not tested")
def test_what_the_microphone_hears_moves_the_picture_and_sounds_and_the_console_is_clean(
    address: str, tmp_path: Path
) -> None:
    play = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
    make_media(tmp_path)
    with play.sync_playwright() as chromium:
        browser = chromium.chromium.launch(executable_path=find_chromium(), args=flags(tmp_path))
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.add_init_script(LISTEN)
        page.goto(address)
        page.click("#talk")
        play.expect(page.locator("canvas")).to_have_attribute("data-speaking", "1", timeout=30_000)
        pictures: set[str] = set()
        until = time.monotonic() + 30
        while (len(pictures) < 5 or page.evaluate("window.loudest") < 0.02) and time.monotonic() < until:
            pictures.add(page.evaluate("document.querySelector('canvas').toDataURL()"))
            page.wait_for_timeout(100)
        loudest = page.evaluate("window.loudest")
        page.screenshot(path=os.environ.get("LIVE_SCREENSHOT", str(tmp_path / "page.png")))
        browser.close()
    assert len(pictures) >= 5, "the picture stands still"
    assert loudest >= 0.02, "nothing is heard"
    assert said == []


LISTEN = """
window.loudest = 0;
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...given) {
    for (const value of this.buffer.getChannelData(0))
        window.loudest = Math.max(window.loudest, Math.abs(value));
    return start.apply(this, given);
};
"""
"""Notes how loud what the page plays is."""


def test_a_portrait_without_a_face_is_said_in_one_line_and_nothing_is_served(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (128, 128), "grey").save(tmp_path / "grey.png")
    command = [sys.executable, "-m", "echomimic", "live", "--portrait", str(tmp_path / "grey.png")]
    done = subprocess.run(
        [*command, "--port", "0", "--no-browser"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no face was found")
    assert done.stderr.count("\n") == 1


def test_a_session_that_is_open_does_not_hold_up_the_end() -> None:
    command = [sys.executable, "-m", "echomimic", "live", "--portrait", str(EXAMPLE / "portrait.jpg")]
    process = subprocess.Popen(
        [*command, "--size", "128", "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    client = opened(process.stdout.readline().strip())
    client.send(b"\0\0" * 32_000)
    client.recv(timeout=20)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    _, told = process.communicate()
    assert "Traceback" not in told
    client.socket.close()
