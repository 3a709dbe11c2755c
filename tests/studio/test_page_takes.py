"""Takes in a real Chromium: the timeline, comparing, figures."""

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (extra dev)")
pytest.importorskip("uvicorn", reason='the studio needs its extra: pip install "echomimic-studio[studio]"')

from playwright.sync_api import Page, expect

from tests.studio.browser import find_chromium
from tests.studio.page_steps import make_take, open_take, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed: the page is not tested"),
]


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


def test_a_drag_goes_on_while_the_take_changes(page: Page, media: Path) -> None:
    take = make_take(page, media, seed=1)
    open_take(page, take)
    canvas = page.get_by_role("img", name="Brows")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 10, steps=4)
    page.request.patch(f"api/takes/{take['id']}", data={"star": True})
    until(page, "import('./store.js').then(s => s.takes.get(s.bench.take).star)")
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 10, steps=4)
    page.mouse.up()
    expect(page.get_by_role("spinbutton", name="End")).to_have_value("1.50")


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
