"""What the studio's tests share. Without the extra, every file of them is skipped
with a word why (see ``door``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.studio.browser import PICTURE, find_chromium, flags, make_media, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.studio.door import Door


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A studio that several tests share; they leave no jobs waiting."""
    from tests.studio.door import opened

    with opened(tmp_path_factory.mktemp("home")) as door:
        yield door


@pytest.fixture(scope="session")
def portrait_id(door: Door) -> str:
    """The shipped portrait, uploaded."""
    from tests.studio.door import EXAMPLE

    return door.upload("portrait", (EXAMPLE / "portrait.jpg").read_bytes(), "portrait.jpg")


@pytest.fixture(scope="session")
def speech_id(door: Door) -> str:
    """Three seconds of speech, uploaded."""
    from tests.studio.door import sound

    return door.upload("speech", sound(3.0), "speech.wav")


@pytest.fixture
def weights_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model can be ordered."""
    monkeypatch.setattr("echomimic.studio.orders.refuse_missing", lambda *_: None)


# a bench of small pictures, put there before the page's own script runs, once per tab
SMALL = f"""if (location.protocol === "http:" && !localStorage.getItem("echomimic-bench"))
    localStorage.setItem("echomimic-bench", JSON.stringify({{settings: {{size: {PICTURE}}}}}));"""


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait, speeches and what the fake camera shows."""
    folder = tmp_path_factory.mktemp("media")
    make_media(folder)
    return folder


@pytest.fixture(scope="module")
def browser(media: Path) -> Iterator[Browser]:
    """One Chromium for all journeys of a file: its event loop may not outlive them."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=find_chromium(), args=flags(media))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server process for all journeys."""
    with served(tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser that was never here; its console must stay silent."""
    from tests.studio.page_steps import PATIENCE

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
    from tests.studio.page_steps import enter

    return enter(context, address)
