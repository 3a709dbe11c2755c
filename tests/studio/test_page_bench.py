"""The bench in a real Chromium: what is dropped, pasted, recorded or typed becomes a talk."""

import base64
import re
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (extra dev)")
pytest.importorskip("uvicorn", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')

from playwright.sync_api import Page, expect

from echomimic.studio.voice import voice_ready
from tests.studio.browser import PICTURE, find_chromium
from tests.studio.page_steps import choose, plays, stop_all, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: the page is not tested"),
]


def test_portrait_and_speech_play(page: Page, media: Path) -> None:
    choose(page, media)
    page.get_by_role("button", name="Make the talk").click()
    plays(page)
    until(page, "document.querySelector('video').src.includes('/video')")
    until(page, f"document.querySelector('video').videoWidth === {PICTURE}")
    expect(page.get_by_role("img", name="Mouth")).to_be_visible()
    page.get_by_role("button", name="Landmarks").click()
    expect(page.get_by_role("img", name="Landmarks")).to_be_visible()
    until(page, f"document.querySelector('.over').naturalWidth === {PICTURE}")


GIVE = """([kind, target, type, data]) => {
    const file = new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], "given", {type});
    const carried = new DataTransfer();
    carried.items.add(file);
    const place = target ? document.querySelector(target) : document;
    const how = {bubbles: true, cancelable: true, dataTransfer: carried, clipboardData: carried};
    const event = kind === "drop" ? new DragEvent("drop", how) : new ClipboardEvent("paste", how);
    place.dispatchEvent(event);
    return event.defaultPrevented; }"""


def give(page: Page, kind: str, target: str, path: Path, type: str) -> bool:
    """Drops a file on what ``target`` names, or pastes it; whether the page took it, not the browser."""
    if target:
        expect(page.locator(target)).to_be_visible()
    data = base64.b64encode(path.read_bytes()).decode()
    return bool(page.evaluate(GIVE, [kind, target, type, data]))


def test_a_photo_can_be_pasted_and_both_can_be_dropped(page: Page, media: Path) -> None:
    give(page, "paste", "", media / "portrait.png", "image/png")
    expect(page.locator(".box")).to_have_count(1)
    give(page, "drop", "[aria-label=Speech] .drop", media / "speech.wav", "audio/wav")
    expect(page.get_by_role("button", name="Make the talk")).to_be_enabled()
    page.evaluate("localStorage.removeItem('echomimic-bench')")
    page.reload()
    give(page, "drop", "[aria-label=Portrait] .drop", media / "portrait.png", "image/png")
    expect(page.locator(".box")).to_have_count(1)


def test_a_file_goes_where_it_belongs_wherever_it_is_dropped(page: Page, media: Path) -> None:
    page.evaluate("location.hash = '#queue'")
    assert give(page, "drop", "header", media / "portrait.png", "image/png"), "the browser opens the file"
    expect(page.locator(".box")).to_have_count(1)
    assert give(page, "drop", "[aria-label=Portrait] .drop", media / "speech.wav", "audio/wav")
    expect(page.get_by_role("button", name="Make the talk")).to_be_enabled()
    assert give(page, "drop", "main", media / "speech.wav", "text/plain")
    expect(page.get_by_role("alert")).to_contain_text("neither a picture nor a sound")


def test_a_recording_goes_on_while_other_files_come(page: Page, media: Path) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    stop = page.get_by_role("button", name="Stop recording")
    expect(stop).to_be_visible()
    give(page, "drop", "header", media / "portrait.png", "image/png")
    expect(page.locator(".box")).to_have_count(1)
    page.wait_for_timeout(600)
    stop.click()
    expect(page.get_by_label(re.compile("^recording-"))).to_be_visible()


@pytest.mark.skipif(not voice_ready(), reason="the optional voice is not installed: pip install hibari-tts")
def test_typed_text_becomes_the_speech(page: Page) -> None:
    page.get_by_text("Say typed text").click()
    page.get_by_label("Type what is to be said").fill("This was typed.")
    page.get_by_role("button", name="Say it").click()
    expect(page.locator("audio[aria-label='This was typed.']")).to_be_visible()


def test_it_plays_while_it_is_rendered(page: Page, media: Path) -> None:
    choose(page, media, "long.wav")
    page.get_by_role("button", name="Make the talk").click()
    plays(page)
    assert "/stream" in page.evaluate("document.querySelector('video').src")
    stop_all(page)


def test_a_slider_changes_the_still(page: Page, media: Path) -> None:
    page.get_by_label("Drop a photo here").set_input_files(media / "portrait.png")
    still = page.locator(".screen img")
    expect(still).to_have_attribute("src", re.compile("blob:"))
    before = pixels(page)
    slider = page.get_by_role("slider", name="Expressiveness")
    slider.focus()
    slider.press("Home")
    until(page, f"old => ({PIXELS}) !== old", before)
    slider.press("End")
    until(page, f"old => ({PIXELS}) !== old", before)


PIXELS = """(() => { const i = document.querySelector('.screen img'), c = document.createElement('canvas');
    if (!i || !i.complete || !i.naturalWidth) return '';
    c.width = c.height = 64; c.getContext('2d').drawImage(i, 0, 0, 64, 64); return c.toDataURL(); })()"""


def pixels(page: Page) -> str:
    """The still that is shown, as text."""
    until(page, f"{PIXELS} !== ''")
    return str(page.evaluate(PIXELS))


def test_microphone(page: Page) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1200)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_label(re.compile("^recording-"))).to_be_visible()
    newest = page.request.get("api/assets?kind=speech&limit=1").json()["assets"][0]
    assert newest["info"]["seconds"] > 0.5
    assert not newest["info"]["silent"]


CAMERA = "document.querySelector('video')?.videoWidth > 0"


def test_webcam(page: Page) -> None:
    for _ in range(3):  # a busy machine's browser sometimes gives up starting its fake camera, and says so
        page.get_by_role("button", name="Take a picture").click()
        until(page, f"{CAMERA} || document.querySelector('.toast')")
        if page.evaluate(CAMERA):
            break
        page.evaluate("document.querySelector('.toast').remove()")
    page.get_by_role("button", name="Shoot").click()
    expect(page.get_by_role("img", name="camera.png")).to_be_visible()
    expect(page.locator(".box")).to_have_count(1)
