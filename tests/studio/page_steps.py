"""What the journeys through the page have in common."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.studio.browser import PICTURE

PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


def enter(context: BrowserContext, address: str) -> Page:
    """A new tab on the bench."""
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", name="Portrait")).to_be_visible()
    return page


def choose(page: Page, media: Path, speech: str = "speech.wav") -> None:
    """Gives a portrait and a speech as files."""
    page.get_by_label("Drop a photo here").set_input_files(media / "portrait.png")
    expect(page.locator(".box")).to_have_count(1)
    page.locator("section", has=page.get_by_role("heading", name="Speech")).locator(
        "input[type=file]"
    ).set_input_files(media / speech)
    expect(page.get_by_role("button", name="Make the talk")).to_be_enabled()


def make_take(page: Page, media: Path, **settings: object) -> dict[str, Any]:
    """A finished take, made through the API as the page is let in; the same settings are the same take."""
    ids = {}
    for kind, name in (("portrait", "portrait.png"), ("speech", "speech.wav")):
        answer = page.request.post(f"api/assets?kind={kind}&name={name}", data=(media / name).read_bytes())
        ids[kind] = answer.json()["id"]
    body = {**ids, "settings": {"size": PICTURE, **settings}}
    job = page.request.post("api/jobs", data=body, headers={"Idempotency-Key": f"take {settings}"}).json()
    wait_for(page, job)
    return dict(page.request.get(f"api/takes/{job['take']}").json())


def wait_for(page: Page, job: dict[str, Any]) -> None:
    """Until the job is done."""
    for _ in range(300):
        state = page.request.get(f"api/jobs/{job['id']}").json()["state"]
        if state not in ("queued", "running"):
            break
        page.wait_for_timeout(100)
    assert state == "done"


def open_take(page: Page, take: dict[str, Any]) -> None:
    """Shows a take on the bench, as a click on its picture does."""
    page.evaluate("location.hash = '#takes'")
    page.get_by_role("article", name=take["name"] or take["id"]).get_by_role("button", name="Open").click()
    expect(page.get_by_role("img", name="Mouth")).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until what has this name has the focus."""
    named = "(e => [e.ariaLabel, e.textContent, ...[...(e.labels ?? [])].map(l => l.textContent)].join(' '))"
    for _ in range(80):
        page.keyboard.press("Tab")
        if re.search(name, page.evaluate(f"{named}(document.activeElement)")):
            return
    raise AssertionError(f"Tab does not reach {name}")


def until(page: Page, condition: str, argument: object = None) -> None:
    """Waits for a condition; the page's own rules (CSP) let no script poll for it inside."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(condition, argument):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}")


def plays(page: Page) -> None:
    """Waits until the video has moved on."""
    until(page, "document.querySelector('video')?.currentTime > 0.2")


def stop_all(page: Page) -> None:
    """Leaves nothing at work for the next journey."""
    for job in page.request.get("api/jobs").json()["jobs"]:
        if job["state"] in ("queued", "running"):
            page.request.post(f"api/jobs/{job['id']}/stop")
