"""The page as its user has it: with a mouse, with a keyboard alone, on a phone, in two languages."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as torch_functional

from drawing.playground import vectors

Open = Callable[..., Any]  # conftest's fixture `open_page`.
COUNT = 50

SETTLED = """hash => new Promise(resolve => {
  addEventListener("hashchange", () => resolve({
    shape: document.querySelector("#output-shape")?.textContent ?? null,
    sentence: document.querySelector("#verdict .sentence")?.textContent ?? null,
    formulas: [...document.querySelectorAll("#formulas dd")].map(node => node.textContent),
    facts: [...document.querySelectorAll("#facts dd")].map(node => node.textContent),
    torch: document.querySelector("#line-pytorch").textContent,
  }), {once: true});
  if (location.hash === "#" + hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
})"""


def shape(page: Any) -> str:
    return str(page.inner_text("#output-shape"))


def hover(page: Any, grid: str, row: int, column: int, rows: int, columns: int) -> None:
    """The mouse over a cell of a grid, counted from its upper left corner."""
    box = page.locator(grid).bounding_box()
    x = box["x"] + (column + 0.5) * box["width"] / columns
    page.mouse.move(x, box["y"] + (row + 0.5) * box["height"] / rows)


def test_what_python_says_the_page_shows(open_page: Open, request: pytest.FixtureRequest) -> None:
    source = random.Random(request.config.getoption("--seed"))
    page = open_page()
    chosen = [*vectors.mistakes()[::6], *(vectors.random_settings(source) for _ in range(COUNT))]
    worked = 0
    for settings in chosen:
        expected = vectors.expected(settings)
        seen = page.evaluate(SETTLED, vectors.address(settings))
        assert seen["sentence"] == expected["sentence"], settings
        if expected["sentence"]:
            assert seen["shape"] is None
            continue
        worked += 1
        assert seen["shape"] == " × ".join(map(str, expected["output"]))
        formulas = [line.split(": ")[1].replace("-", "−") for line in expected["formula"]]
        assert seen["formulas"] == formulas
        assert seen["facts"][:2] == [f"{expected['parameters']:,}", f"{expected['macs']:,}"]
        with torch.device("meta"):
            layer = eval(seen["torch"], {"torch": torch})
        image = torch.empty(1, settings["channels"], *settings["size"], device="meta")
        assert list(layer(image).shape[1:]) == expected["output"], seen["torch"]
    assert worked > COUNT / 5


def test_each_slider_changes_the_numbers(open_page: Open) -> None:
    start = "in=3x7x7&out=4&k=3&s=2&p=1"
    page = open_page()
    for slider, key, shown in (
        ("channels", "ArrowRight", "4 × 4 × 4"),
        ("size-0", "ArrowRight", "4 × 4 × 4"),
        ("outChannels", "ArrowLeft", "3 × 4 × 4"),
        ("kernel-0", "ArrowRight", "4 × 3 × 3"),
        ("stride-0", "ArrowRight", "4 × 3 × 3"),
        ("padding-top", "ArrowRight", "4 × 5 × 5"),
        ("dilation-0", "ArrowRight", "4 × 3 × 3"),
    ):
        assert page.evaluate(SETTLED, start)["shape"] == "4 × 4 × 4"
        before = page.inner_text("#line-tatamu"), page.inner_text(".shapes")
        page.press(f"#{slider}-range", key)
        assert shape(page) == shown
        assert (page.inner_text("#line-tatamu"), page.inner_text(".shapes")) != before
        assert page.input_value(f"#{slider}-range") == page.input_value(f"#{slider}-number")


def test_every_other_control_changes_the_layer(open_page: Open) -> None:
    page = open_page("in=4x7x7&out=4&k=3&s=1&p=1")
    page.check("#kernel-apart")
    page.fill("#kernel-1-number", "5")
    page.select_option("#padding", "sides")
    page.fill("#padding-left-number", "2")
    page.select_option("#mode", "replicate")
    page.click("#groups-depthwise")
    page.uncheck("#bias")
    line = (
        "tatamu.Conv2d(4, 4, kernel_size=(3, 5), padding=((1, 1), (2, 1)), "
        'padding_mode="replicate", groups=4, bias=False)'
    )
    assert page.inner_text("#line-tatamu") == line
    assert shape(page) == "4 × 7 × 6"
    page.select_option("#padding", "same")
    assert shape(page) == "4 × 7 × 7"
    assert page.inner_text(".amounts") == "top 1, bottom 1, left 2, right 2"
    page.uncheck("#kernel-apart")
    assert page.is_hidden("#kernel-1-range")
    assert "kernel_size=3, padding" in page.inner_text("#line-tatamu")


def test_an_output_cell_shows_what_it_reads(open_page: Open) -> None:
    page = open_page("in=1x5x6&out=1&k=3x2&s=2x1&p=1x2&d=1x2")
    hover(page, "#output-grid", 0, 3, 3, 8)
    assert page.inner_text("#cell-text") == (
        "Output (row 0, column 3) reads rows −1 to 1, columns 1, 3; 2 of 6 taps lie in the padding."
    )
    cell = page.locator("#output-grid").bounding_box()["width"] / 8
    grid = page.locator("#input-grid").bounding_box()
    window = page.locator("#drawing .orange-edge").bounding_box()
    assert window["x"] == pytest.approx(grid["x"] + 3 * cell, abs=1.5)  # Strokes are 2.5 wide.
    assert window["y"] == pytest.approx(grid["y"], abs=1.5)
    assert window["width"] == pytest.approx(3 * cell, abs=3)
    assert window["height"] == pytest.approx(3 * cell, abs=3)
    assert page.locator("#drawing .orange-tap").count() == 6
    assert page.inner_text("#sums dt >> nth=-1") == "y[0, 0, 3]"


def test_an_input_cell_shows_who_reads_it(open_page: Open) -> None:
    """Judged by the gradient of torch's layer: which outputs the cell moves."""
    page = open_page()
    for mode in vectors.MODES:
        page.evaluate(SETTLED, f"in=1x5x6&out=1&k=3&s=2&p=2&mode={mode}")
        layer = torch.nn.Conv2d(1, 1, 3, 2, 2, bias=False, padding_mode=mode).double()
        torch.nn.init.ones_(layer.weight)
        for row, column in ((0, 0), (1, 5), (4, 3)):
            hover(page, "#input-grid", row + 2, column + 2, 9, 10)
            image = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
            image[0, 0, row, column] = 1
            count = int((layer(image) != 0).sum())
            assert page.locator("#drawing .green-tap").count() == count
            assert f"(row {row}, column {column}) is read by {count} " in page.inner_text("#cell-text")
        hover(page, "#input-grid", 0, 4, 9, 10)
        shown = vectors.shown(5, (2, 2), mode)[0]
        copied = f"shows pixel (row {shown}, column 2)" if shown is not None else "is a zero"
        assert f"Padding (row −2, column 2) {copied}" in page.inner_text("#cell-text")
        page.mouse.move(5, 5)
        assert page.inner_text("#cell-text").startswith("Output")


def test_a_pixel_that_nobody_reads_is_said_and_hatched(open_page: Open) -> None:
    page = open_page("in=1x6x6&out=1&k=2&s=3&p=0")
    assert page.inner_text("#fact-unread") == "20"
    assert page.locator("#drawing .unread").count() == 4
    hover(page, "#input-grid", 2, 0, 6, 6)
    assert page.inner_text("#cell-text") == "Input pixel (row 2, column 0) is never read."


def test_what_breaks_is_said_in_red_where_it_is(open_page: Open) -> None:
    page = open_page("in=3x5x5&out=4&k=3&s=1&p=0")
    for _ in range(2):
        page.press("#dilation-0-range", "ArrowRight")
    settings = vectors.PLAIN | {
        "channels": 3, "inChannels": 3, "outChannels": 4, "size": [5, 5], "dilation": [3, 3],
    }  # fmt: skip
    assert page.inner_text("#verdict .sentence") == vectors.expected(settings)["sentence"]
    red, green, blue = colour(page, "#verdict .sentence")
    assert red > 150 > green > blue - 40
    assert page.get_attribute("#dilation-0-range", "aria-invalid") == "true"
    assert page.get_attribute("#groups-range", "aria-invalid") == "false"
    assert page.locator("#drawing .red-tap").count() == 9
    assert page.is_disabled("#play")
    page.press("#dilation-0-range", "ArrowLeft")
    assert shape(page) == "4 × 1 × 1"
    assert page.is_enabled("#play")


def colour(page: Any, selector: str) -> list[int]:
    text = page.eval_on_selector(selector, "node => getComputedStyle(node).color")
    return [int(value) for value in re.findall(r"\d+", text)[:3]]


def test_the_line_is_copied(open_page: Open) -> None:
    page = open_page(
        "in=3x9x8&out=6&k=3&s=2&p=same_upper&g=3", permissions=["clipboard-read", "clipboard-write"]
    )
    for kind in ("tatamu", "keras", "link", "pytorch"):
        page.click(f"#copy-{kind}")
        page.wait_for_function("() => document.querySelector('#copy-status').textContent !== ''")
        assert page.inner_text("#copy-status") == "Copied."
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.inner_text(f"#line-{kind}").replace("\n", "")
    layer = eval(copied, {"torch": torch})
    found = layer(torch.rand(1, 3, 9, 8)).shape[1:]
    assert " × ".join(map(str, found)) == shape(page)


def test_where_copying_is_forbidden_the_text_is_selected(open_page: Open) -> None:
    page = open_page()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.click("#copy-tatamu")
    page.wait_for_function("() => document.querySelector('#copy-status').textContent !== ''")
    assert page.evaluate("getSelection().toString()") == page.inner_text("#line-tatamu")


STATE = """() => [...document.querySelectorAll("#controls input, #controls select, #picture, #depthwise")]
  .map(node => [node.id, node.type === "checkbox" ? node.checked : node.value, !node.checkVisibility()])"""


def test_the_link_opens_the_same_page(open_page: Open) -> None:
    page = open_page()
    page.press("#stride-0-range", "ArrowLeft")
    page.check("#dilation-apart")
    page.press("#dilation-1-range", "ArrowRight")
    page.check("#size-apart")
    page.press("#size-0-range", "End")
    page.select_option("#padding", "sides")
    page.press("#padding-bottom-range", "End")
    page.select_option("#mode", "reflect")
    page.select_option("#weights", "emboss")
    page.select_option("#picture", "tatami")
    page.select_option("#depthwise", "mixed")
    page.select_option("#language", "ja")
    link = page.inner_text("#line-link").replace("\n", "")
    page.wait_for_function("link => location.href === link", arg=link)
    other = open_page(link.split("#")[1])
    assert other.evaluate(STATE) == page.evaluate(STATE)
    assert shape(other) == shape(page)
    assert other.inner_text("h1") == page.inner_text("h1")


def test_an_address_that_makes_no_sense_is_the_default(open_page: Open) -> None:
    page = open_page()
    default = page.evaluate(STATE)
    for hash_ in ("in=axbxc&k=&p=1x2x3&mode=zero&w=<b>&lang=xx", "in=9&k=3x3x3&s=1.5&p=1_2&d=-"):
        page.evaluate(SETTLED, hash_)
        assert page.evaluate(STATE) == default


def test_a_number_beyond_its_limits_is_the_limit(open_page: Open) -> None:
    page = open_page("in=3x7x7&out=4&k=999&s=1&p=0")
    assert page.input_value("#kernel-0-number") == "31"
    page.fill("#stride-0-number", "99")
    page.press("#stride-0-number", "Tab")
    assert page.input_value("#stride-0-number") == "16"
    page.fill("#stride-0-number", "")
    page.press("#stride-0-number", "Tab")
    assert page.input_value("#stride-0-number") == "16"


def test_the_animation_runs_and_stops(open_page: Open) -> None:
    page = open_page("in=1x7x7&out=1&k=3&s=1&p=1", reduced_motion="no-preference")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.wait_for_function("() => Number(document.querySelector('#position').value) >= 2")
    assert page.get_attribute("#cell-text", "aria-live") == "off"
    page.click("#play")
    at = page.input_value("#position")
    page.wait_for_timeout(500)
    assert page.input_value("#position") == at
    assert page.get_attribute("#cell-text", "aria-live") == "polite"
    still = open_page(reduced_motion="reduce")
    assert still.get_attribute("#play", "aria-label") == "Play"


def test_it_is_used_without_a_mouse(open_page: Open) -> None:
    page = open_page("in=1x5x5&out=2&k=3&s=1&p=1")
    order = []
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id")
        if focused in order or not focused:
            break
        order.append(focused)
    landmarks = [
        "example",
        "input-grid",
        "output-grid",
        "play",
        "position",
        "stride-0-range",
        "mode",
        "copy-pytorch",
    ]
    assert [name for name in order if name in landmarks] == landmarks
    operable = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [tabindex='0']")]
             .filter(node => !node.disabled && node.checkVisibility()).map(node => node.id)"""
    )
    assert set(operable) <= set(order)

    page.focus("#output-grid")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.inner_text("#cell-text").startswith(
        "Output (row 1, column 2) reads rows 0 to 2, columns 1 to 3"
    )
    page.focus("#input-grid")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#cell-text") == "Padding (row 0, column −1) is a zero; 2 outputs read it."
    page.focus("#position")
    page.keyboard.press("Home")
    assert page.get_attribute("#position", "aria-valuetext") == "row 0, column 0"
    page.focus("#next")
    page.keyboard.press("Enter")
    assert page.get_attribute("#position", "aria-valuetext") == "row 0, column 1"
    page.focus("#channel")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#channel-text") == "Output channel 1 reads input channel 0 of 1."


def test_each_control_has_a_name_and_focus_is_seen(open_page: Open) -> None:
    page = open_page("in=3x7x8&out=4&k=3x2&s=2&p=1_1x1_1")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=application], canvas, code")]
             .filter(node => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent.trim()
               || node.textContent.trim()))
             .map(node => node.id)"""
    )
    assert nameless == []
    page.focus("#output-grid")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"


def test_the_language_is_changed(open_page: Open) -> None:
    page = open_page("in=3x5x5&out=4&k=3&s=1&p=0&d=3")
    english = page.evaluate("[...document.querySelectorAll('[data-words]')].map(node => node.textContent)")
    page.select_option("#language", "ja")
    japanese = page.evaluate("[...document.querySelectorAll('[data-words]')].map(node => node.textContent)")
    assert page.evaluate("document.documentElement.lang") == "ja"
    page.wait_for_function("() => location.hash.includes('lang=ja')")
    for before, after in zip(english, japanese, strict=True):
        assert before != after
        assert re.search(r"[぀-ヿ一-鿿]", after), after
    # The sentence is the layer's own, whatever the language; what it means is beside it.
    assert "Kernel size can't be greater" in page.inner_text("#verdict .sentence")
    assert "パディング後の入力" in page.inner_text("#verdict .gloss")
    assert open_page(locale="ja-JP").inner_text("h1") == page.inner_text("h1")


CONTRASTS = Path(__file__).with_name("contrasts.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    for hash_ in ("in=2x6x6&k=3&s=1&p=1", "in=2x6x6&k=3&s=1&p=1&mode=reflect&lang=ja", "d=4"):
        page.evaluate(SETTLED, hash_)
        found = page.evaluate(CONTRASTS)
        assert len(found) > 60
        assert [(text, ratio) for text, ratio in found if ratio < 4.5] == []


def test_the_theme_is_chosen(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.select_option("#theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


@pytest.mark.parametrize(
    ("width", "hash_"),
    [
        (320, ""),
        (390, "in=3x224x224&out=64&k=7"),
        (390, "in=64x32x32&out=128&k=7x5&s=1&p=3&g=2&lang=ja"),
        (768, ""),
    ],
)
def test_nothing_is_cut_off_on_a_phone(open_page: Open, width: int, hash_: str) -> None:
    page = open_page(hash_, viewport={"width": width, "height": 800}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if not page.locator("#output-shape").count():
        return
    box = page.locator("#output-grid").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    rows, columns = map(int, shape(page).split(" × ")[1:])
    half = box["width"] / columns / 2
    page.touchscreen.tap(box["x"] + box["width"] - half, box["y"] + box["height"] - half)
    assert page.input_value("#position") == str(rows * columns - 1)


def test_on_a_phone_the_drawing_stays_in_sight_and_covers_nothing_in_use(open_page: Open) -> None:
    page = open_page("in=3x7x7&out=4&k=3&s=2&p=1", viewport={"width": 390, "height": 844})
    page.focus("#weights")
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        focused = page.evaluate("document.activeElement.getBoundingClientRect().top")
        stage = page.locator(".stage").bounding_box()
        assert stage["y"] >= 0
        assert focused >= stage["y"] + stage["height"]


PIXELS = """id => { const canvas = document.getElementById(id);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  let text = "";
  const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
  for (const value of data) text += String.fromCharCode(value);
  return [canvas.height, canvas.width, btoa(text)];
}"""


def pixels(page: Any, which: str) -> torch.Tensor:
    """(3, height, width), 0 to 255."""
    height, width, data = page.evaluate(PIXELS, which)
    numbers = torch.tensor(list(base64.b64decode(data)), dtype=torch.float64)
    return numbers.reshape(height, width, 4)[..., :3].permute(2, 0, 1)


def test_the_picture_is_convolved(open_page: Open) -> None:
    page = open_page()
    kernels = {
        "gauss": torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
        "sharpen": torch.tensor([[-2, -2, -2], [-2, 25, -2], [-2, -2, -2]]) / 9,
        "sobelX": torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 1,
    }
    for weights, mode, depthwise in (
        ("gauss", "reflect", True),
        ("sharpen", "zeros", True),
        ("sobelX", "circular", True),
        ("sobelX", "replicate", False),
    ):
        hash_ = f"in=3x7x7&out=4&k=3&s=2x1&p=2&mode={mode}&w={weights}&depthwise={depthwise:d}"
        page.evaluate(SETTLED, hash_)
        before, after = pixels(page, "before"), pixels(page, "after")
        assert before.unique().numel() > 100
        taps = kernels[weights].double()
        padded = torch_functional.pad(before[None], (2, 2, 2, 2), "constant" if mode == "zeros" else mode)
        judged = torch_functional.conv2d(padded, taps.expand(3, 1, 3, 3), None, (2, 1), groups=3)[0]
        if not depthwise:
            judged = judged.mean(0, keepdim=True).expand(3, -1, -1)
        judged = judged.abs() if weights == "sobelX" else judged
        # The picture before is rounded to whole levels for show; the sum of |taps| bounds what that does.
        bound = 0.5 * float(taps.abs().sum()) + 0.51
        assert (after - judged.clamp(0, 255)).abs().max() <= bound
        assert page.inner_text("#after-text") == f"after: {judged.shape[1]} × {judged.shape[2]}"


def test_a_picture_of_ones_own_is_convolved(open_page: Open, picture: Path) -> None:
    page = open_page("in=3x7x7&out=4&k=3&s=1&p=1&w=identity")
    page.set_input_files("#own", picture)
    page.wait_for_function("() => document.querySelector('#before').width === 40")
    seen = pixels(page, "after")
    assert seen.shape == (3, 30, 40)
    assert seen[:, 0, 0].tolist() == [255, 0, 0]
    assert seen[:, 29, 39].tolist() == [0, 0, 255]
    page.select_option("#picture", "rings")
    assert pixels(page, "before").shape == (3, 120, 180)


def test_a_file_that_is_no_picture_is_said(open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("no picture")
    page = open_page()
    page.set_input_files("#own", path)
    page.wait_for_function("() => document.querySelector('#own-note').textContent.includes('not a picture')")


def test_each_example_is_what_it_says(open_page: Open) -> None:
    page = open_page()
    shown = {}
    for example in page.evaluate("[...document.querySelectorAll('#example option')].map(node => node.value)")[
        1:
    ]:
        page.select_option("#example", example)
        assert page.input_value("#example") == "none"
        shown[example] = shape(page) if page.locator("#output-shape").count() else None
    assert shown == {
        "plain": "4 × 7 × 7", "stem": "8 × 11 × 11", "depthwise": "4 × 7 × 7", "pointwise": "6 × 6 × 6",
        "dilated": "4 × 9 × 9", "keras": "4 × 3 × 3", "circular": "2 × 6 × 6", "mismatch": None,
    }  # fmt: skip
