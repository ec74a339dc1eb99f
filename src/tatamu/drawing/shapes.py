"""What every form of a picture is made of: a few shapes, and when each is seen.

Lengths are in pixels, y grows downwards. A shape's `style` is a name in `palette`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class Lines:
    """Straight lines (x, y, x, y) of one style."""

    segments: tuple[tuple[float, float, float, float], ...]
    style: str


@dataclass(frozen=True)
class Label:
    """A line of text; `y` is its baseline, `anchor` says what of it stands at `x`: start, middle or end."""

    x: float
    y: float
    text: str
    style: str
    size: float
    anchor: str = "middle"


Shape = Box | Lines | Label


@dataclass(frozen=True)
class Moving:
    """Shapes that lie elsewhere in each frame: `offsets` are (x, y), None where they are not seen."""

    shapes: tuple[Shape, ...]
    offsets: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True)
class Shown:
    """Shapes that are seen from one frame to another, both included."""

    shapes: tuple[Shape, ...]
    first: int
    last: int


@dataclass
class Drawing:
    """A picture in all its frames.

    Attributes:
        title: what it shows, in a line.
        description: the same in sentences, for those who do not see it.
        layers: shapes, bottom to top; a bare shape is seen in every frame.
        frames: how many there are, at least one.
        captions: each frame in words.
        seconds: how long a frame is seen.
        still: the frame that explains most.
    """

    title: str
    description: str
    frames: int
    seconds: float
    still: int = 0
    width: float = 0
    height: float = 0
    layers: list[Shape | Moving | Shown] = field(default_factory=list)
    captions: tuple[str, ...] = ()

    def bundles(self) -> Iterator[tuple[Shape, ...] | Moving | Shown]:
        """The layers, with those shapes together that are seen in every frame and lie one upon the other."""
        for still, layers in groupby(self.layers, lambda layer: not isinstance(layer, Moving | Shown)):
            if still:
                yield tuple(layer for layer in layers if not isinstance(layer, Moving | Shown))
            else:
                yield from (layer for layer in layers if isinstance(layer, Moving | Shown))

    def at(self, frame: int) -> Iterator[tuple[Shape, float, float]]:
        """What is seen in a frame, bottom to top: each shape and how far (x, y) it is moved."""
        for layer in self.layers:
            if isinstance(layer, Moving):
                offset = layer.offsets[frame]
                if offset is not None:
                    yield from ((shape, *offset) for shape in layer.shapes)
            elif isinstance(layer, Shown):
                if layer.first <= frame <= layer.last:
                    yield from ((shape, 0, 0) for shape in layer.shapes)
            else:
                yield layer, 0, 0
