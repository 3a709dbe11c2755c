"""The page in a real Chromium: reload, languages, keyboard, proxies, tabs, accessibility, widths."""

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (extra dev)")
pytest.importorskip("uvicorn", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.studio.browser import find_axe, find_chromium, proxied, served
from tests.studio.page_steps import choose, enter, make_take, open_take, plays, stop_all, tab_to, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: the page is not tested"),
]
SCREENS = ("bench", "takes", "compare", "queue", "live")


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


def test_a_button_can_be_pressed_while_the_bar_beside_it_moves(page: Page, media: Path) -> None:
    choose(page, media, "long.wav")
    page.get_by_role("button", name="Make the talk").click()
    page.evaluate("location.hash = '#queue'")
    until(page, "document.querySelector('[role=progressbar]')?.ariaValueNow > 5")
    page.evaluate("document.querySelector('.job button').dataset.kept = 'yes'")
    before = page.evaluate("document.querySelector('[role=progressbar]').ariaValueNow")
    until(page, "old => document.querySelector('[role=progressbar]').ariaValueNow !== old", before)
    page.locator("button[data-kept]").click()
    expect(page.get_by_role("listitem").first).to_contain_text("stopped")


def test_a_server_with_another_token_is_asked_for_it(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context()  # its console tells that nobody answers, and shall
    with served(tmp_path) as address:
        page = enter(context, address)
    port = address.split(":")[2].split("/")[0]
    expect(page.locator("#connection")).to_contain_text("Not connected")
    (tmp_path / "token").unlink()
    with served(tmp_path, "--port", port) as address:
        page.get_by_role("textbox").fill(address)
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("heading", name="Portrait")).to_be_visible()
        context.close()


def test_older_takes_can_be_seen(page: Page, media: Path) -> None:
    take = make_take(page, media, seed=2)
    older = {**take, "id": "t0", "name": "an older one", "ready": False}

    def answer(route: Route) -> None:
        pages = {False: ([take], "7"), True: ([older], None)}
        takes, after = pages["before=7" in route.request.url]
        route.fulfill(json={"takes": takes, "next": after})

    page.route(re.compile(r"/api/takes\?"), answer)
    page.evaluate("location.hash = '#takes'")
    page.reload()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Show older takes").click()
    expect(page.get_by_role("article", name="an older one")).to_be_visible()
    expect(page.get_by_role("button", name="Show older takes")).to_have_count(0)


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
    long = make_take(page, media, seed=6)
    page.request.patch(f"api/takes/{long['id']}", data={"name": "a name that does not end " * 8})
    open_take(page, make_take(page, media, seed=2))
    for screen in SCREENS:
        page.evaluate(f"location.hash = '#{screen}'")
        expect(page.locator("nav [aria-current]")).to_have_attribute("href", f"#{screen}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, screen
        menu = "(n => n.scrollWidth - n.clientWidth)(document.getElementById('nav'))"
        assert page.evaluate(menu) <= 0, "a part of the menu is cut off"
