"""The page in a real Chromium: what a user does with it, by mouse and keyboard,
with a fake microphone and camera."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (extra dev)")
pytest.importorskip("uvicorn", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.studio.browser import PICTURE, find_axe, find_chromium, flags, make_media, proxied, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: the page is not tested"),
]
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)
SCREENS = ("bench", "takes", "compare", "queue", "live")
# a bench of small pictures, put there before the page's own script runs, once per tab
SMALL = f"""if (location.protocol === "http:" && !localStorage.getItem("echomimic-bench"))
    localStorage.setItem("echomimic-bench", JSON.stringify({{settings: {{size: {PICTURE}}}}}));"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait, speeches and what the fake camera shows."""
    folder = tmp_path_factory.mktemp("media")
    make_media(folder)
    return folder


@pytest.fixture(scope="module")
def browser(media: Path) -> Iterator[Browser]:
    """One Chromium for all journeys."""
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=find_chromium(), args=flags(media))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server process for all journeys."""
    with served(tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser that was never here; its console must stay silent."""
    made = browser.new_context(
        base_url=address.split("?")[0], locale="en-GB", viewport={"width": 1360, "height": 900}
    )
    made.set_default_timeout(PATIENCE)
    made.add_init_script(SMALL)
    said: list[str] = []
    made.on(
        "console", lambda m: said.append(f"{m.text} {m.location}") if m.type in ("error", "warning") else None
    )
    made.on("weberror", lambda fault: said.append(str(fault.error)))
    yield made
    made.close()
    assert said == []


@pytest.fixture
def page(context: BrowserContext, address: str) -> Page:
    """The bench, let in by the token."""
    return enter(context, address)


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


def test_it_plays_while_it_is_rendered(page: Page, media: Path) -> None:
    choose(page, media, "long.wav")
    page.get_by_role("button", name="Make the talk").click()
    plays(page)
    assert "/stream" in page.evaluate("document.querySelector('video').src")
    stop_all(page)


def stop_all(page: Page) -> None:
    """Leaves nothing at work for the next journey."""
    for job in page.request.get("api/jobs").json()["jobs"]:
        if job["state"] in ("queued", "running"):
            page.request.post(f"api/jobs/{job['id']}/stop")


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


def test_webcam(page: Page) -> None:
    page.get_by_role("button", name="Take a picture").click()
    until(page, "document.querySelector('video')?.videoWidth > 0")
    page.get_by_role("button", name="Shoot").click()
    expect(page.get_by_role("img", name="camera.png")).to_be_visible()
    expect(page.locator(".box")).to_have_count(1)


def test_timeline_mute_undo_redo(page: Page, media: Path) -> None:
    take = make_take(page, media, seed=1)
    open_take(page, take)
    canvas = page.get_by_role("img", name="Mouth")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 12, steps=4)
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 12, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Mute").click()
    entries = page.get_by_role("list", name="Edits").get_by_role("listitem")
    expect(entries).to_have_count(1)
    middle = take["frames"] // 2
    assert abs(curves(page, take)["mouth"]["opening"][middle]) < 1e-6
    assert saved_edit(page, take) == ("mute", "mouth", 0.5, 1.5)
    page.get_by_role("button", name="Undo").click()
    expect(entries).to_have_count(0)
    page.get_by_role("button", name="Redo").click()
    expect(entries).to_have_count(1)
    expect(page.locator("video")).to_have_attribute("src", re.compile("r=[2-9]"))


def test_hands_are_directed_for_v2(page: Page, media: Path) -> None:
    take = make_take(page, media, seed=5)
    moving = [0.1 * (n % 7) for n in range(take["frames"])]
    page.route(
        "**/hands", lambda route: route.fulfill(json={"tracks": {"hands": {"left": moving, "right": []}}})
    )
    open_take(page, take)
    page.get_by_role("button", name="Hands", exact=True).last.click()
    page.get_by_role("spinbutton", name="Start").fill("0.5")
    page.get_by_role("spinbutton", name="Start").press("Tab")
    page.get_by_role("button", name="Less").click()
    expect(page.get_by_role("list", name="Edits").get_by_role("listitem")).to_contain_text("Hands · 0.50")
    (edit,) = page.request.get(f"api/takes/{take['id']}/edits").json()["edits"]
    assert (edit["op"], edit["track"], edit["amount"]) == ("gain", "hands", 0.5)


def curves(page: Page, take: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """The performance as edited."""
    tracks: dict[str, dict[str, list[float]]] = page.request.get(f"api/takes/{take['id']}/curves").json()[
        "tracks"
    ]
    return tracks


def saved_edit(page: Page, take: dict[str, Any]) -> tuple[str, str, float, float]:
    """The only edit, its times to the twentieth of a second (a pixel is less)."""
    (edit,) = page.request.get(f"api/takes/{take['id']}/edits").json()["edits"]
    return edit["op"], edit["track"], round(20 * edit["start"]) / 20, round(20 * edit["stop"]) / 20


def test_reload_finds_its_job_again(page: Page, media: Path) -> None:
    choose(page, media, "long.wav")
    page.get_by_role("button", name="Make the talk").click()
    bar = page.locator("[role=progressbar][aria-valuenow]")
    until(page, "document.querySelector('[role=progressbar]')?.ariaValueNow > 5")
    before = int(bar.get_attribute("aria-valuenow") or 0)
    page.reload()
    expect(bar).to_be_visible()
    assert int(bar.get_attribute("aria-valuenow") or 0) >= before
    stop_all(page)


def test_compare(page: Page, media: Path) -> None:
    takes = [make_take(page, media, seed=seed) for seed in (2, 3)]
    page.evaluate("location.hash = '#takes'")
    for take in takes:
        page.get_by_role("article", name=take["id"]).get_by_role("button", name="Choose to compare").click()
    page.get_by_role("link", name="Compare (2/2)").click()
    videos = page.locator("main video")
    expect(videos).to_have_count(2)
    page.get_by_role("button", name="Play both").click()
    until(page, "[...document.querySelectorAll('main video')].every(v => v.currentTime > 0.2)")
    apart = "(v => Math.abs(v[0].currentTime - v[1].currentTime))(document.querySelectorAll('main video'))"
    until(page, f"{apart} < 0.1")
    page.get_by_role("button", name="Wipe").click()
    page.get_by_role("slider", name="Wipe").fill("80")
    clip = page.evaluate("getComputedStyle(document.querySelectorAll('main video')[1]).clipPath")
    assert "80%" in clip


def test_figures_are_shown_by_group(page: Page, media: Path) -> None:
    figure = {
        "name": "lag_ms",
        "title": "mouth behind the sound",
        "group": "Lips and sound",
        "unit": "ms",
        "value": 1.0,
    }
    figure |= {"shown": "+1", "wanted": "±45", "verdict": "good", "note": ""}
    unknown = {**figure, "title": "what cannot be measured", "value": None, "verdict": ""}
    page.route(
        "**/evaluation",
        lambda route: route.fulfill(
            json={"figures": [figure, unknown], "worst": [], "notes": ["one remark", "and one more"]}
        ),
    )
    take = make_take(page, media, seed=2)
    page.evaluate("location.hash = '#takes'")
    card = page.get_by_role("article", name=take["id"])
    card.get_by_role("button", name="Evaluate").click()
    expect(card.get_by_role("rowheader", name="Lips and sound")).to_be_visible()
    expect(card.get_by_role("row", name="mouth behind the sound")).to_contain_text("+1 ms good")
    expect(card.get_by_role("row", name="what cannot be measured")).to_have_count(0)
    expect(card.get_by_text("one remark", exact=True)).to_be_visible()
    expect(card.get_by_text("and one more", exact=True)).to_be_visible()


def test_chinese(page: Page) -> None:
    page.get_by_label("Language").select_option("zh")
    expect(page.get_by_role("heading", name="人像")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh"
    for screen in SCREENS:
        page.evaluate(f"location.hash = '#{screen}'")
        expect(page.locator("nav [aria-current]")).not_to_have_text(re.compile("[A-Za-z]"))
    page.reload()
    expect(page.get_by_role("link", name="工作台")).to_be_visible()


def test_keyboard_alone(page: Page, media: Path) -> None:
    for name, file in (("^Drop a photo", "portrait.png"), ("^Drop a recording", "speech.wav")):
        tab_to(page, name)
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(media / file)
        page.wait_for_timeout(300)
    expect(page.get_by_role("button", name="Make the talk")).to_be_enabled()
    tab_to(page, "^ ?Make the talk")
    page.keyboard.press("Enter")
    plays(page)
    expect(page.get_by_role("img", name="Mouth")).to_be_visible()
    tab_to(page, "^Mouth")
    page.keyboard.press("ArrowRight")
    tab_to(page, "^ ?Mute")
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Edits").get_by_role("listitem")).to_have_count(1)


def test_below_a_path_behind_a_proxy(context: BrowserContext, media: Path, tmp_path: Path) -> None:
    with served(tmp_path, "--root-path", "/studio") as address:
        port = int(address.split(":")[2].split("/")[0])
        with proxied(port) as front:
            page = enter(context, address.replace(f":{port}/", f":{front}/"))
            assert page.url.startswith(f"http://127.0.0.1:{front}/studio/")
            choose(page, media)
            page.get_by_role("button", name="Make the talk").click()
            until(page, "document.querySelector('video')?.src.includes('/video')")
            plays(page)
            page.close()


def test_two_tabs_agree(context: BrowserContext, page: Page, address: str, media: Path) -> None:
    take = make_take(page, media, seed=4)
    other = enter(context, address)
    for tab in (page, other):
        tab.evaluate("location.hash = '#takes'")
    name = f"best {os.getpid()}"
    card = page.get_by_role("article", name=take["id"])
    card.get_by_role("textbox", name="Name").fill(name)
    card.get_by_role("textbox", name="Name").press("Tab")
    seen = other.get_by_role("article", name=name)
    expect(seen).to_be_visible()
    seen.get_by_role("button", name="Star").click()
    expect(page.get_by_role("article", name=name).get_by_role("button", name="Unstar")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible(page: Page, media: Path, theme: str) -> None:
    script = find_axe()
    if script is None:
        pytest.skip("axe-playwright-python is not installed: accessibility is not tested")
    take = make_take(page, media, seed=2)
    page.evaluate(f"localStorage.setItem('echomimic-theme', '{theme}')")
    page.reload()
    open_take(page, take)
    page.evaluate(script.read_text(encoding="utf-8") + "; undefined")
    for screen in SCREENS:
        page.evaluate(f"location.hash = '#{screen}'")
        expect(page.locator("nav [aria-current]")).to_have_attribute("href", f"#{screen}")
        page.evaluate("Promise.all([...document.images].map(i => i.decode().catch(() => 0)))")
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        grave = [
            (f["id"], [n["html"] for n in f["nodes"]])
            for f in found
            if f["impact"] in ("serious", "critical")
        ]
        assert grave == [], screen


@pytest.mark.parametrize("width", [1360, 820, 360])
def test_nothing_is_wider_than_the_window(page: Page, media: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    open_take(page, make_take(page, media, seed=2))
    for screen in SCREENS:
        page.evaluate(f"location.hash = '#{screen}'")
        expect(page.locator("nav [aria-current]")).to_have_attribute("href", f"#{screen}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, screen
        menu = "(n => n.scrollWidth - n.clientWidth)(document.getElementById('nav'))"
        assert page.evaluate(menu) <= 0, "a part of the menu is cut off"
