"""The bars at the top of the README are the figures of its table."""

from __future__ import annotations

import re

from docs import speed


def test_the_chart_is_what_the_table_says() -> None:
    columns, rows = speed.table(speed.README.read_text(encoding="utf-8"))
    assert (len(columns), len(rows)) == (4, 4)
    assert speed.CHART.read_text(encoding="utf-8") == speed.draw(columns, rows)


def test_the_sentence_is_what_the_table_says() -> None:
    _, ((_, figures), *_) = speed.table(speed.README.read_text(encoding="utf-8"))
    assert f"{min(figures)} to {max(figures)} times as fast" in speed.README.read_text(encoding="utf-8")
    japanese = speed.README.with_name("README.ja.md").read_text(encoding="utf-8")
    assert f"{min(figures)} 倍から {max(figures)} 倍" in japanese


def test_a_bar_is_as_long_as_its_figure() -> None:
    svg = speed.draw(["a", "b"], [("all 2", (1.5, 3.0)), ("one", (2.0, 1.0))])
    bars = re.findall(
        r'<rect class="c\d" x="110" y="\d+" width="([\d.]+)" height="10"/>\n<text[^>]*>([\d.]+)<', svg
    )
    assert [float(figure) for _, figure in bars] == [1.5, 3.0, 2.0, 1.0]
    widths = [float(width) for width, _ in bars]
    assert [round(width / widths[3], 2) for width in widths] == [1.5, 3.0, 2.0, 1.0]
    (torchs,) = re.findall(r'<line class="line" x1="([\d.]+)"', svg)
    assert float(torchs) == 110 + widths[3]
