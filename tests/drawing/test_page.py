"""The page that steps through the frames, in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from drawing.browser import browser, needs_browser
from tatamu.drawing import page
from tatamu.drawing.compose import compose
from tatamu.drawing.scene import Scene
from tatamu.drawing.shapes import Drawing
from tatamu.geometry import Convolution, Geometry


def drawing() -> Drawing:
    geometry = Geometry.of(
        (1, 1, 5, 5), (1, 1, 3, 3), Convolution((2, 2), ((1, 1), (1, 1)), padding_mode="reflect")
    )
    return compose(Scene.of(geometry), bias=True, title="A <title> & more")


def test_it_stands_alone() -> None:
    text = page.page(drawing())
    assert "{{" not in text
    assert "A &lt;title&gt; &amp; more" in text
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(src|href|import|fetch)\b\s*[=(]", text)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    file: Path = tmp_path_factory.mktemp("page") / "steps.html"
    file.write_text(page.page(drawing()), encoding="utf-8")
    with browser() as started:
        opened = started.new_page()
        opened.on("pageerror", lambda error: pytest.fail(str(error)))
        opened.on("console", lambda message: pytest.fail(message.text) if message.type == "error" else None)
        opened.on("request", lambda it: pytest.fail(it.url) if it.url.startswith("http") else None)
        opened.goto(file.as_uri())
        yield opened


def visible(shown: Page) -> list[str]:
    """The captions that are seen."""
    texts: list[str] = shown.evaluate(
        "[...document.querySelectorAll('svg text')].filter(it => it.getClientRects().length)"
        ".map(it => it.textContent)"
    )
    return [text for text in texts if text.startswith("output row")]


@needs_browser
def test_buttons_keys_and_slider_step(shown: Page) -> None:
    captions = drawing().captions

    def at() -> str:
        return shown.locator("#count").inner_text()

    assert at() == "1 of 9"
    assert visible(shown) == [captions[0]]
    shown.get_by_role("button", name="Next frame").click()
    assert (at(), visible(shown)) == ("2 of 9", [captions[1]])
    shown.get_by_role("button", name="Previous frame").click()
    shown.keyboard.press("ArrowLeft")
    assert (at(), visible(shown)) == ("9 of 9", [captions[8]])
    shown.keyboard.press("Home")
    shown.keyboard.press("ArrowRight")
    assert at() == "2 of 9"
    shown.keyboard.press("End")
    assert at() == "9 of 9"
    shown.get_by_role("slider", name="Frame").fill("3")
    assert (at(), visible(shown)) == ("4 of 9", [captions[3]])
    assert shown.locator("#caption").inner_text() == captions[3]


@needs_browser
def test_it_plays_and_pauses(shown: Page) -> None:
    shown.keyboard.press("Home")
    shown.get_by_role("button", name="Play").click()
    shown.wait_for_function("document.getElementById('count').value === '2 of 9'")
    shown.get_by_role("button", name="Pause").click()
    assert shown.get_by_role("button", name="Play").is_visible()


@needs_browser
def test_the_kernel_moves(shown: Page) -> None:
    def left() -> float:
        box = shown.locator("svg g[data-at]").last.bounding_box()
        assert box is not None
        return box["x"]

    shown.keyboard.press("Home")
    before = left()
    shown.keyboard.press("ArrowRight")
    assert left() > before + 10
