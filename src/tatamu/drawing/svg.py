"""A drawing as SVG: one frame, or all of them as an animation in CSS, without a script.

The frames are steps of one clock. Where animations are not wanted (prefers-reduced-motion) or not known, the still
frame is seen. Colours follow prefers-color-scheme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tatamu.drawing.palette import Paint, paints
from tatamu.drawing.shapes import Box, Drawing, Label, Lines, Moving, Shape, Shown

_FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif'


def still(drawing: Drawing, frame: int) -> str:
    """One frame as an SVG document."""
    body, names = [], _Names()
    for shape, x, y in drawing.at(frame):
        body.append(_moved([shape], (x, y), names) if x or y else element(shape, names))
    return document(drawing, body, names)


def animated(drawing: Drawing) -> str:
    """All frames as an SVG document that plays by itself, over and over."""
    names, body = _Names(), []
    clock = _Clock(drawing)
    for layer in drawing.layers:
        if isinstance(layer, Moving):
            body.append(clock.moving(layer, names))
        elif isinstance(layer, Shown):
            body.append(clock.shown(layer, names))
        else:
            body.append(element(layer, names))
    return document(drawing, body, names, clock.rules())


class _Names:
    """Short class names for styles, in the order in which they come up."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def __call__(self, style: str) -> str:
        return self.of.setdefault(style, f"s{len(self.of)}")


class _Clock:
    """The frames as steps of one clock, whose last frame is seen twice as long."""

    def __init__(self, drawing: Drawing) -> None:
        self._frames, self._still = drawing.frames, drawing.still
        self._seconds = drawing.seconds * (drawing.frames + 1)
        self._tracks: dict[str, str] = {}

    def moving(self, layer: Moving, names: _Names) -> str:
        """A group that lies elsewhere in each frame."""
        if len(set(layer.offsets)) == 1 and layer.offsets[0] is not None:
            return _moved(layer.shapes, layer.offsets[0], names)
        stops = []
        for frame, offset in enumerate(layer.offsets):
            if frame and offset == layer.offsets[frame - 1]:
                continue
            if offset is None:
                stops.append((frame, "visibility:hidden"))
            else:
                seen = "visibility:visible;" if None in layer.offsets else ""
                stops.append((frame, f"{seen}transform:translate({number(offset[0])}px,{number(offset[1])}px)"))
        rest = layer.offsets[self._still]
        place = ' visibility="hidden"' if rest is None else f' transform="translate({number(rest[0])} {number(rest[1])})"'
        inside = "".join(element(shape, names) for shape in layer.shapes)
        return f'<g class="a {self._track(stops)}"{place}>{inside}</g>'

    def shown(self, layer: Shown, names: _Names) -> str:
        """A group that is seen in some frames."""
        inside = "".join(element(shape, names) for shape in layer.shapes)
        if layer.first == 0 and layer.last == self._frames - 1:
            return inside
        seen, hidden = "visibility:visible", "visibility:hidden"
        stops = [(0, hidden)] if layer.first else []
        stops.append((layer.first, seen))
        if layer.last < self._frames - 1:
            stops.append((layer.last + 1, hidden))
        rest = "" if layer.first <= self._still <= layer.last else ' visibility="hidden"'
        return f'<g class="a {self._track(stops)}"{rest}>{inside}</g>'

    def rules(self) -> str:
        """The clock and its tracks as CSS."""
        rules = [f".a{{animation:{number(self._seconds)}s step-end infinite}}"]
        for stops, name in self._tracks.items():
            rules.append(f"@keyframes {name}{{{stops}}}.{name}{{animation-name:{name}}}")
        rules.append("@media(prefers-reduced-motion:reduce){.a{animation:none}}")
        return "".join(rules)

    def _track(self, stops: Iterable[tuple[int, str]]) -> str:
        text = "".join(f"{number(100 * frame / (self._frames + 1), 3)}%{{{rule}}}" for frame, rule in stops)
        return self._tracks.setdefault(text, f"k{len(self._tracks)}")


def document(drawing: Drawing, body: Sequence[str], names: _Names, rules: str = "") -> str:
    """A whole SVG document around its elements."""
    width, height = number(drawing.width), number(drawing.height)
    light = "".join(_rule(names.of[style], paint) for style, paint in paints("light").items() if style in names.of)
    dark = "".join(_colours(names.of[style], paint) for style, paint in paints("dark").items() if style in names.of)
    paper = {theme: paints(theme)["paper"].fill for theme in ("light", "dark")}
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-labelledby="t d">\n<title id="t">{escape(drawing.title)}</title>\n'
        f'<desc id="d">{escape(drawing.description)}</desc>\n'
        f"<style>text{{font-family:{_FONT}}}.paper{{fill:{paper['light']}}}{light}"
        f"@media(prefers-color-scheme:dark){{.paper{{fill:{paper['dark']}}}{dark}}}{rules}</style>\n"
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def element(shape: Shape, names: _Names) -> str:
    """A shape as an SVG element."""
    name = names(shape.style)
    if isinstance(shape, Box):
        at = f'x="{number(shape.x)}" y="{number(shape.y)}" width="{number(shape.width)}" height="{number(shape.height)}"'
        return f'<rect class="{name}" {at}/>'
    if isinstance(shape, Lines):
        path = "".join(_line(*segment) for segment in shape.segments)
        return f'<path class="{name}" d="{path}"/>'
    anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
    return (
        f'<text class="{name}" x="{number(shape.x)}" y="{number(shape.y)}" font-size="{number(shape.size)}"{anchor}>'
        f"{escape(shape.text, quote=False)}</text>"
    )


def number(value: float, digits: int = 2) -> str:
    """A length in as few characters as it takes."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _moved(shapes: Iterable[Shape], offset: tuple[float, float], names: _Names) -> str:
    inside = "".join(element(shape, names) for shape in shapes)
    return f'<g transform="translate({number(offset[0])} {number(offset[1])})">{inside}</g>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    if y1 == y2:
        return f"M{number(x1)} {number(y1)}H{number(x2)}"
    if x1 == x2:
        return f"M{number(x1)} {number(y1)}V{number(y2)}"
    return f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"


def _rule(name: str, paint: Paint) -> str:
    extra = f";stroke-width:{number(paint.width)}" if paint.stroke and paint.width != 1 else ""
    extra += ";stroke-dasharray:3 2" if paint.dashed else ""
    extra += f";fill-opacity:{number(paint.opacity)}" if paint.opacity != 1 else ""
    extra += ";font-weight:600" if paint.bold else ""
    return f".{name}{{{_painted(paint)}{extra}}}"


def _colours(name: str, paint: Paint) -> str:
    return f".{name}{{{_painted(paint)}}}"


def _painted(paint: Paint) -> str:
    fill = f"fill:{paint.fill or 'none'}"
    return fill if paint.stroke is None else f"{fill};stroke:{paint.stroke}"
