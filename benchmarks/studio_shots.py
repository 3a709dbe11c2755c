"""Makes the pictures of the page for the documentation: a studio of its own, three takes, an installed
Chromium.

Run: ``python -m benchmarks.studio_shots`` (writes ``docs/images/studio-*.jpg``).
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "echomimic" / "example"
PICTURES = ROOT / "docs" / "images"
# small enough for a page of documentation: 100 kB at most
QUALITY = 72
TAKES: list[dict[str, object]] = [
    {},
    {"expressiveness": 1.6, "head_motion": 0.4},
    {"seed": 3, "crop": "head"},
]
EDITS = [
    {"op": "gain", "track": "head", "start": 1.0, "stop": 2.5, "amount": 1.5},
    {"op": "mute", "track": "mouth", "start": 5.2, "stop": 6.0},
    {"op": "blink", "track": "blinks", "start": 3.8, "stop": 4.1},
]


@contextmanager
def served() -> Iterator[str]:
    """A studio in an empty folder; its address with the token."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "echomimic", "studio", "--home", home, "--port", "0", "--no-browser"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait(page: Page, job: dict[str, Any]) -> str:
    """Until the job has ended; its take."""
    while page.request.get(f"api/jobs/{job['id']}").json()["state"] in ("queued", "running"):
        page.wait_for_timeout(200)
    return str(job["take"])


def fill(page: Page) -> dict[str, Any]:
    """Three takes, the first one edited; what the bench shows."""
    ids = {}
    for kind, name in (("portrait", "portrait.jpg"), ("speech", "speech.flac")):
        answer = page.request.post(f"api/assets?kind={kind}&name={name}", data=(EXAMPLE / name).read_bytes())
        ids[kind] = answer.json()["id"]
    takes = [wait(page, page.request.post("api/jobs", data={**ids, "settings": one}).json()) for one in TAKES]
    for take, name in zip(takes, ("calm", "lively", "close"), strict=True):
        page.request.patch(f"api/takes/{take}", data={"name": name, "star": name == "calm"})
    wait(page, page.request.put(f"api/takes/{takes[0]}/edits", data={"edits": EDITS}).json()["job"])
    return {**ids, "take": takes[0], "settings": {}, "face": 0, "driver": "auto", "text": ""}


def shoot(page: Page, name: str, whole: bool = True) -> None:
    """One picture of the page, or of what its window shows."""
    page.wait_for_timeout(1500)
    page.screenshot(path=PICTURES / f"studio-{name}.jpg", type="jpeg", quality=QUALITY, full_page=whole)


def main() -> None:
    """The bench by day, the takes by night, the bench on a telephone in Chinese."""
    with served() as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(base_url=address.split("?")[0], viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(address)
        bench = fill(page)
        page.evaluate("kept => localStorage.setItem('echomimic-bench', kept)", json.dumps(bench))
        page.reload()
        page.locator("#marks").click()
        page.evaluate(
            "document.querySelector('video').pause(); document.querySelector('video').currentTime = 2.3"
        )
        canvas = page.get_by_role("img", name="Head").bounding_box()
        assert canvas is not None
        y = canvas["y"] + 20
        page.mouse.move(canvas["x"] + 0.35 * canvas["width"], y)
        page.mouse.down()
        page.mouse.move(canvas["x"] + 0.55 * canvas["width"], y, steps=5)
        page.mouse.up()
        shoot(page, "bench")
        page.emulate_media(color_scheme="dark")
        page.evaluate("location.hash = '#takes'")
        for one in page.get_by_role("button", name="Choose to compare").all()[:2]:
            one.click()
        shoot(page, "takes")
        page.set_viewport_size({"width": 360, "height": 740})
        page.get_by_label("Language").select_option("zh")
        page.evaluate("location.hash = '#bench'")
        page.evaluate("document.querySelector('.screen').scrollIntoView()")
        page.evaluate("scrollBy(0, -100)")
        shoot(page, "telephone", whole=False)
        browser.close()


if __name__ == "__main__":
    main()
