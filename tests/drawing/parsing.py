"""Reads pictures back: what an SVG document shows at a moment of its animation."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
RULER = 10.5
"""The size of the figures along an edge."""
_RULE = re.compile(r"\.([a-z]\d*)\{([^}]*)\}")
_FRAMES = re.compile(r"@keyframes (k\d+)\{((?:[\d.]+%\{[^}]*\})*)\}")
_STOP = re.compile(r"([\d.]+)%\{([^}]*)\}")
_SHIFT = re.compile(r"translate\((-?[\d.]+)(?:px)?[, ]+(-?[\d.]+)(?:px)?\)")


@dataclass(frozen=True)
class Text:
    """A text that is seen, and where; `size` is its font's, `anchor` what of it stands at x."""

    x: float
    y: float
    text: str
    size: float
    anchor: str


@dataclass(frozen=True)
class Seen:
    """What is seen at a moment: texts, and paths as (x, y, what follows) with the fill and line of each."""

    texts: tuple[Text, ...]
    paths: tuple[tuple[float, float, str, str], ...]


class Document:
    """An SVG document of ours."""

    def __init__(self, text: str) -> None:
        self.root = ET.fromstring(text)
        self.style = self.root.find(f"{SVG}style").text or ""
        plain = self.style.split("@media")[0]
        self._rules = dict(_RULE.findall(plain))
        self._tracks = {
            name: [(float(at), rule) for at, rule in _STOP.findall(stops)]
            for name, stops in _FRAMES.findall(self.style)
        }
        self.seconds = (
            float(found[1]) if (found := re.search(r"\.a\{animation:([\d.]+)s", self.style)) else 0.0
        )

    def seen(self, percent: float | None = None) -> Seen:
        """What is seen at a percentage of the animation, or where there is none."""
        texts: list[Text] = []
        paths: list[tuple[float, float, str, str]] = []
        self._walk(self.root, (0.0, 0.0), percent, texts, paths)
        return Seen(tuple(sorted(texts, key=str)), tuple(sorted(paths)))

    def _walk(
        self,
        element: ET.Element,
        offset: tuple[float, float],
        percent: float | None,
        texts: list[Text],
        paths: list[tuple[float, float, str, str]],
    ) -> None:
        for child in element:
            visible, (dx, dy) = self._state(child, percent)
            if not visible:
                continue
            x, y = offset[0] + dx, offset[1] + dy
            style = self._rules.get(child.get("class", ""), "")
            if child.tag == f"{SVG}g":
                self._walk(child, (x, y), percent, texts, paths)
            elif child.tag == f"{SVG}text":
                size = float(re.search(r"font-size:([\d.]+)px", style)[1])
                anchor = found[1] if (found := re.search(r"text-anchor:(\w+)", style)) else "start"
                at = float(child.get("x")) + x, float(child.get("y")) + y
                texts.append(Text(round(at[0], 2), round(at[1], 2), child.text or "", size, anchor))
            elif child.tag == f"{SVG}path":
                for begin_x, begin_y, rest in re.findall(r"M(-?[\d.]+) (-?[\d.]+)([^M]*)", child.get("d")):
                    moved = _moved(_moved(rest, "H", x), "V", y)
                    paths.append((round(float(begin_x) + x, 2), round(float(begin_y) + y, 2), moved, style))

    def _state(self, element: ET.Element, percent: float | None) -> tuple[bool, tuple[float, float]]:
        visible = element.get("visibility") != "hidden"
        shift = element.get("transform", "")
        names = element.get("class", "").split()
        if percent is not None and "a" in names:
            stops = self._tracks[names[1]]
            rule = [rule for at, rule in stops if at <= percent + 1e-9][-1]
            if "visibility" in rule:
                visible = "visibility:visible" in rule
            shift = rule if "translate" in rule else shift
        found = _SHIFT.search(shift)
        return visible, (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def _moved(path: str, letter: str, by: float) -> str:
    """A path whose lines to an absolute end, along one axis, are moved along it."""
    return re.sub(rf"{letter}(-?[\d.]+)", lambda found: f"{letter}{round(float(found[1]) + by, 2)}", path)


def read(path: Path) -> Document:
    """The document in a file."""
    return Document(path.read_text(encoding="utf-8"))


def number(text: str) -> float | None:
    """The number that a text is, if it is one."""
    try:
        return float(text.replace("−", "-").replace("∞", "inf"))
    except ValueError:
        return None


def grids(seen: Seen) -> list[list[list[float]]]:
    """The numbers in cells, as the grids they stand in, left to right: each a list of rows.

    Cells' numbers are in their middle, unlike weights under the kernel, and not in the type of rulers.
    """
    cells = {(it.x, it.y): number(it.text) for it in seen.texts if it.anchor == "middle" and it.size != RULER}
    cells = {at: value for at, value in cells.items() if value is not None}
    xs = sorted({x for x, _ in cells})
    step = min(b - a for a, b in pairwise(xs))
    columns: list[list[float]] = [[xs[0]]]
    for x in xs[1:]:
        if x - columns[-1][-1] > 1.01 * step:
            columns.append([])
        columns[-1].append(x)
    found = []
    for group in columns:
        # Texts of other sizes have their baselines elsewhere in the cell: rows by their order of magnitude.
        ys = sorted({y for x, y in cells if x in group})
        rows: list[list[float]] = []
        for y in ys:
            if rows and y - rows[-1][0] < step / 2:
                rows[-1].append(y)
            else:
                rows.append([y])
        found.append([[cells[x, y] for x in group for y in row if (x, y) in cells] for row in rows])
    return found
