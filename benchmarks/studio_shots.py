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
QUALITY = 66
"""Of the JPEGs: none of them has more than 120 kB then."""
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


def until(page: Page, condition: str) -> None:
    """Waits for a condition; the page's own rules (CSP) let no script poll for it inside."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise RuntimeError(f"the page never came so far: {condition}")


DECODED = "[...document.images].every(i => i.complete && i.naturalWidth)"
PAINTED = """[...document.querySelectorAll('.timeline canvas')].filter(c => c.offsetParent).every(c => {
    const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
    for (let i = 3; i < data.length; i += 4) if (data[i]) seen.add((i >> 2) % c.width);
    return seen.size > c.width / 2; })"""
"""Every row of the timeline has something in more than half of its columns."""
SHOWN = "document.querySelector('video')?.readyState >= 2 && !document.querySelector('video').seeking"


def shoot(page: Page, name: str, whole: bool = True) -> None:
    """One picture of the page, or of what its window shows, once its own pictures are there."""
    until(page, DECODED)
    page.wait_for_timeout(600)
    page.screenshot(path=PICTURES / f"studio-{name}.jpg", type="jpeg", quality=QUALITY, full_page=whole)


def bench(page: Page) -> None:
    """The bench, a stretch of the head chosen, the landmarks over the face."""
    page.locator(".box").first.wait_for()
    until(page, SHOWN)
    page.evaluate(
        "document.querySelector('video').pause(); document.querySelector('video').currentTime = 2.3"
    )
    page.locator("#marks").click()
    page.locator("img.over").wait_for()
    until(page, PAINTED)
    page.get_by_role("img", name="Head").scroll_into_view_if_needed()
    canvas = page.get_by_role("img", name="Head").bounding_box()
    assert canvas is not None
    y = canvas["y"] + 20
    page.mouse.move(canvas["x"] + 0.35 * canvas["width"], y)
    page.mouse.down()
    page.mouse.move(canvas["x"] + 0.55 * canvas["width"], y, steps=5)
    page.mouse.up()
    page.evaluate("scrollTo(0, 0)")
    until(page, SHOWN)
    until(page, PAINTED)
    shoot(page, "bench")


def takes_and_compare(page: Page) -> None:
    """The takes by night, one with its figures; two of them behind a wipe."""
    page.emulate_media(color_scheme="dark")
    page.evaluate("location.hash = '#takes'")
    for name in ("calm", "lively"):
        page.get_by_role("article", name=name).get_by_role("button", name="Choose to compare").click()
    page.get_by_role("article", name="calm").locator("summary").click()
    shoot(page, "takes", whole=False)
    page.evaluate("location.hash = '#compare'")
    page.get_by_role("button", name="Wipe").click()
    page.get_by_role("slider", name="Play").fill("2.3")
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2 && !v.seeking)")
    shoot(page, "compare", whole=False)


def queue(page: Page, ids: dict[str, Any]) -> None:
    """What runs and waits."""
    page.emulate_media(color_scheme="light")
    for seed in (7, 8):
        order = {
            "portrait": ids["portrait"],
            "speech": ids["speech"],
            "settings": {"length": 3000, "seed": seed},
        }
        page.request.post("api/jobs", data=order)
    page.evaluate("location.hash = '#queue'")
    until(page, "document.querySelector('[role=progressbar]')?.ariaValueNow > 15")
    shoot(page, "queue", whole=False)


def telephone(page: Page) -> None:
    """The bench in Chinese, by night."""
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_label("Language").select_option("zh")
    page.evaluate("location.hash = '#bench'")
    page.locator(".box").first.wait_for()
    until(page, SHOWN)
    page.evaluate("document.querySelector('video').pause()")
    until(page, PAINTED)
    page.evaluate("document.querySelector('.screen').scrollIntoView(); scrollBy(0, -100)")
    shoot(page, "telephone", whole=False)


def main() -> None:
    """Every picture, from one studio."""
    with served() as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(base_url=address.split("?")[0], viewport={"width": 1200, "height": 800})
        page = context.new_page()
        page.goto(address)
        ids = fill(page)
        page.request.get(f"api/takes/{ids['take']}/evaluation", timeout=300_000)
        page.evaluate("kept => localStorage.setItem('echomimic-bench', kept)", json.dumps(ids))
        page.reload()
        bench(page)
        takes_and_compare(page)
        queue(page, ids)
        telephone(page)
        browser.close()


if __name__ == "__main__":
    main()
