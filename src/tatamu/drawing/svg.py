"""A drawing as SVG: one frame, or all of them as an animation in CSS, without a script.

The frames are steps of one clock. Where animations are not wanted (prefers-reduced-motion) or not known, the
still frame is seen. Colours follow prefers-color-scheme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from tatamu.drawing.palette import Paint, paints
from tatamu.drawing.shapes import Box, Drawing, Label, Lines, Moving, Shape, Shown

_FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif'


def still(drawing: Drawing, frame: int) -> str:
    """One frame as an SVG document."""
    names, body = _Names(), []
    for offset, seen in groupby(drawing.at(frame), lambda shape: shape[1:]):
        body.append(_moved([shape for shape, *_ in seen], offset, names))
    return _document(drawing, body, names)


def animated(drawing: Drawing) -> str:
    """All frames as an SVG document that plays by itself, over and over."""
    names, body = _Names(), []
    clock = _Clock(drawing)
    for layer in drawing.bundles():
        if isinstance(layer, Moving):
            body.append(clock.moving(layer, names))
        elif isinstance(layer, Shown):
            body.append(clock.shown(layer, names))
        else:
            body.append(_elements(layer, names))
    return _document(drawing, body, names, clock.rules())


def stepped(drawing: Drawing) -> str:
    """All frames, for a page whose script shows them: `data-at` says where, `data-first` and -last when."""
    names, body = _Names(), []
    for layer in drawing.bundles():
        if isinstance(layer, Moving):
            places = ";".join(
                "" if at is None else f"{_number(at[0])} {_number(at[1])}" for at in layer.offsets
            )
            body.append(f'<g data-at="{places}">{_elements(layer.shapes, names)}</g>')
        elif isinstance(layer, Shown):
            inside = _elements(layer.shapes, names)
            body.append(f'<g data-first="{layer.first}" data-last="{layer.last}">{inside}</g>')
        else:
            body.append(_elements(layer, names))
    return _document(drawing, body, names)


class _Names:
    """Short class names for how shapes look, in the order in which they come up."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], str] = {}

    def __call__(self, style: str, extra: str = "") -> str:
        """`extra` are declarations beside those of the style."""
        return self._of.setdefault((style, extra), f"s{len(self._of)}")

    def rules(self, theme: str, colours_alone: bool) -> str:
        """The CSS of all that were named."""
        paint = paints(theme)
        return "".join(
            f".{name}{{{_painted(paint[style])}{'' if colours_alone else _unchanging(paint[style]) + extra}}}"
            for (style, extra), name in self._of.items()
        )


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
                stops.append(
                    (frame, f"{seen}transform:translate({_number(offset[0])}px,{_number(offset[1])}px)")
                )
        rest = layer.offsets[self._still]
        place = (
            ' visibility="hidden"'
            if rest is None
            else f' transform="translate({_number(rest[0])} {_number(rest[1])})"'
        )
        inside = _elements(layer.shapes, names)
        return f'<g class="a {self._track(stops)}"{place}>{inside}</g>'

    def shown(self, layer: Shown, names: _Names) -> str:
        """A group that is seen in some frames."""
        inside = _elements(layer.shapes, names)
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
        rules = [f".a{{animation:{_number(self._seconds)}s step-end infinite}}"]
        for stops, name in self._tracks.items():
            rules.append(f"@keyframes {name}{{{stops}}}.{name}{{animation-name:{name}}}")
        rules.append("@media(prefers-reduced-motion:reduce){.a{animation:none}}")
        return "".join(rules)

    def _track(self, stops: Iterable[tuple[int, str]]) -> str:
        text = "".join(f"{_number(100 * frame / (self._frames + 1), 3)}%{{{rule}}}" for frame, rule in stops)
        return self._tracks.setdefault(text, f"k{len(self._tracks)}")


def _document(drawing: Drawing, body: Sequence[str], names: _Names, rules: str = "") -> str:
    """A whole SVG document around its elements."""
    size = f'width="{_number(drawing.width)}" height="{_number(drawing.height)}"'
    paper = names("paper")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_number(drawing.width)} '
        f'{_number(drawing.height)}" role="img" aria-labelledby="t d">\n'
        f'<title id="t">{escape(drawing.title)}</title>\n<desc id="d">{escape(drawing.description)}</desc>\n'
        f"<style>text{{font-family:{_FONT}}}{names.rules('light', colours_alone=False)}"
        f"@media(prefers-color-scheme:dark){{{names.rules('dark', colours_alone=True)}}}{rules}</style>\n"
        f'<rect class="{paper}" {size} rx="8"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _elements(shapes: Iterable[Shape], names: _Names) -> str:
    """Shapes as SVG elements, those side by side that look the same in one."""
    found = []
    for (kind, style), same in groupby(shapes, lambda shape: (type(shape), shape.style)):
        if kind is Label:
            found += [_text(shape, names) for shape in same if isinstance(shape, Label)]
        else:
            path = "".join(_path(shape) for shape in same if not isinstance(shape, Label))
            found.append(f'<path class="{names(style)}" d="{path}"/>')
    return "".join(found)


def _text(label: Label, names: _Names) -> str:
    anchor = "" if label.anchor == "start" else f";text-anchor:{label.anchor}"
    name = names(label.style, f";font-size:{_number(label.size)}px{anchor}")
    at = f'x="{_number(label.x)}" y="{_number(label.y)}"'
    return f'<text class="{name}" {at}>{escape(label.text, quote=False)}</text>'


def _path(shape: Box | Lines) -> str:
    if isinstance(shape, Box):
        width, height = _number(shape.width), _number(shape.height)
        return f"M{_number(shape.x)} {_number(shape.y)}h{width}v{height}h-{width}z"
    return "".join(_line(*segment) for segment in shape.segments)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    begin = f"M{_number(x1)} {_number(y1)}"
    if y1 == y2:
        return f"{begin}H{_number(x2)}"
    return f"{begin}V{_number(y2)}" if x1 == x2 else f"{begin}L{_number(x2)} {_number(y2)}"


def _moved(shapes: Iterable[Shape], offset: tuple[float, float], names: _Names) -> str:
    inside = _elements(shapes, names)
    if not any(offset):
        return inside
    return f'<g transform="translate({_number(offset[0])} {_number(offset[1])})">{inside}</g>'


def _number(value: float, digits: int = 2) -> str:
    """A length in as few characters as it takes."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _painted(paint: Paint) -> str:
    fill = f"fill:{paint.fill or 'none'}"
    return fill if paint.stroke is None else f"{fill};stroke:{paint.stroke}"


def _unchanging(paint: Paint) -> str:
    """What is the same in every theme."""
    said = f";stroke-width:{_number(paint.width)}" if paint.stroke and paint.width != 1 else ""
    said += ";stroke-dasharray:3 2" if paint.dashed else ""
    said += f";fill-opacity:{_number(paint.opacity)}" if paint.opacity != 1 else ""
    return said + (";font-weight:600" if paint.bold else "")
