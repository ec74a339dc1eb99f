"""The page in Debian's Chromium, without a window."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tatamu.drawing.playground.page import page as the_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]

Open = Callable[..., Any]


@pytest.fixture(scope="module")  # Longer, and asyncio of other tests would meet playwright's.
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed, in which the page is tried")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright, which drives Chromium, is not installed"
    )
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "playground.html"
    path.write_text(the_page(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Open]:
    """Opens the page at a hash. Whatever a test does with it, nothing is fetched and nothing complains."""
    contexts, requests, complaints = [], [], []

    def open_(hash_: str = "", **options: Any) -> Any:
        options = {
            "viewport": {"width": 1280, "height": 900},
            "reduced_motion": "reduce",
            "locale": "en-US",
        } | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5_000)
        page.on("request", lambda request: requests.append(request.url.split("#")[0]))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}#{hash_}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert {url for url in requests if not url.startswith(("data:", "blob:"))} <= {address}
    assert complaints == []


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of the user's: 30 × 40 pixels, red above and blue below."""
    image = pytest.importorskip("PIL.Image").new("RGB", (40, 30), (255, 0, 0))
    image.paste((0, 0, 255), (0, 15, 40, 30))
    path = tmp_path / "mine.png"
    image.save(path)
    return path
