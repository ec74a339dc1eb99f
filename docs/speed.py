"""Draws pictures/speed.svg, the bars at the top of the README, from the table of its section on speed."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
CHART = HERE / "pictures" / "speed.svg"

WIDTH, LEFT, RIGHT, TOP, BAR, GAP = 720, 110, 50, 76, 11, 14
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: #1b2430 }
.title { font-weight: 600; font-size: 15px }
.value { font-size: 10px; fill: #586574 }
.line { stroke: #586574; stroke-dasharray: 3 3 }
.c0 { fill: #bf5f00 } .c1 { fill: #f2b06a } .c2 { fill: #0f62a8 } .c3 { fill: #74a9d8 }
@media (prefers-color-scheme: dark) {
text { fill: #e8edf2 } .value { fill: #9eabb8 } .line { stroke: #9eabb8 }
.c0 { fill: #ffb454 } .c1 { fill: #a5702f } .c2 { fill: #7cc0ff } .c3 { fill: #3f75a8 }
}
"""

Row = tuple[str, tuple[float, ...]]


def table(readme: str) -> tuple[list[str], list[Row]]:
    """The columns of the table whose first row is 'all …', and its rows: a name, and a figure for each."""
    lines = readme.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| all "))
    columns = _cells(lines[first - 2])[1:]
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        name, *figures = _cells(line)
        rows.append((name, tuple(map(float, figures))))
    return columns, rows


def draw(columns: list[str], rows: list[Row]) -> str:
    """The chart as SVG: bars for each row, one for each column, and a line where torch stands."""
    scale = (WIDTH - LEFT - RIGHT) / max(max(figures) for _, figures in rows)
    height = TOP + len(rows) * (len(columns) * BAR + GAP) + 4
    spoken = "; ".join(f"{name}: {', '.join(map(str, figures))}" for name, figures in rows)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t d">',
        '<title id="t">Time of torch over time of tatamu</title>',
        f'<desc id="d">{", ".join(columns)}. {spoken}.</desc>',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="20">Speed over torch, forward, float32</text>',
    ]
    for place, column in enumerate(columns):
        x, y = LEFT + place // 2 * 200, 31 + place % 2 * 18
        parts += [
            f'<rect class="c{place}" x="{x}" y="{y}" width="10" height="10"/>',
            f'<text x="{x + 15}" y="{y + 9}">{column}</text>',
        ]
    y = TOP
    for name, figures in rows:
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + len(figures) * BAR / 2 + 4:g}" text-anchor="end">{name}</text>'
        )
        for place, figure in enumerate(figures):
            length = round(figure * scale, 1)
            parts += [
                f'<rect class="c{place}" x="{LEFT}" y="{y}" width="{length:g}" height="{BAR - 1}"/>',
                f'<text class="value" x="{LEFT + length + 5:g}" y="{y + BAR - 2}">{figure:.2f}</text>',
            ]
            y += BAR
        y += GAP
    x = round(LEFT + scale, 1)
    parts += [
        f'<line class="line" x1="{x:g}" x2="{x:g}" y1="{TOP - 6}" y2="{height - GAP}"/>',
        f'<text class="value" x="{x:g}" y="{height - 3}" text-anchor="middle">torch = 1</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _cells(line: str) -> list[str]:
    return [re.sub(r"\s+", " ", cell).strip() for cell in line.strip().strip("|").split("|")]


if __name__ == "__main__":
    CHART.write_text(draw(*table(README.read_text(encoding="utf-8"))), encoding="utf-8")
