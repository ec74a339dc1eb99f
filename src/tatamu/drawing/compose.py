"""From a convolution to a drawing: what is placed, what moves, what is said."""

from __future__ import annotations

from math import prod

from tatamu.drawing import sheets, steps, words
from tatamu.drawing.layout import MARGIN, Layout, lay_out, shown_channels
from tatamu.drawing.numbers import Numbers
from tatamu.drawing.scene import Frame, Kind, Scene
from tatamu.drawing.shapes import Drawing, Label
from tatamu.errors import PictureTooLargeError

LARGEST = 40
"""Cells along a side: more would be too small to see."""
LARGEST_NUMBERS = 16
MOST_NUMBERED = 4
"""Input channels of a group whose numbers are shown."""
MOST_FRAMES = 400
_TITLE, _NOTE, _LINE = 15.0, 12.0, 18.0
_LONGEST = 45.0
"""Seconds that an animation takes at most."""


def compose(
    scene: Scene, numbers: Numbers | None = None, bias: bool = False, title: str | None = None
) -> Drawing:
    """The drawing of a scene.

    Args:
        numbers: what stands in the cells; without them, all channels are written at once.
        bias: whether a bias is added.
        title: the line of Python it is called by; the layer's own without it.

    Raises:
        PictureTooLargeError: there are more cells, channels or frames than can be made out.
    """
    _check(scene, numbers)
    frames = _frames(scene, numbers)
    name = title or words.call(scene.geometry, bias)
    if scene.transposed:
        name = f"Gradient of the input of {name}"
    seconds = 0.8 if numbers is None else 1.6
    drawing = Drawing(name, words.description(scene), len(frames), min(seconds, _LONGEST / len(frames)))
    drawing.captions = tuple(words.caption(scene, frame) for frame in frames)
    drawing.still = _still(scene)
    layout = lay_out(scene, numbers, bias and not scene.transposed, MARGIN + 32)
    drawing.layers = [
        Label(MARGIN, MARGIN + 10, name, "strong", _TITLE, "start"),
        *layout.under,
        *steps.before(scene, layout, frames),
        *steps.windows(scene, layout, frames, numbers),
        *steps.links(scene, layout, frames),
        *steps.results(layout, frames, numbers),
        *steps.chosen_kernels(scene, layout, frames),
        *steps.cursors(layout, frames),
        *layout.over,
    ]
    _say(drawing, scene, numbers, frames, layout)
    return drawing


def _check(scene: Scene, numbers: Numbers | None) -> None:
    cells = max(len(scene.rows.places), len(scene.columns.places), *scene.written_size)
    most = LARGEST if numbers is None else LARGEST_NUMBERS
    if cells > most:
        raise PictureTooLargeError.of_cells(cells, most, numbers is not None)
    each = scene.read_channels // scene.geometry.groups
    if numbers is not None and each > MOST_NUMBERED:
        raise PictureTooLargeError.of_channels(each, MOST_NUMBERED)
    frames = prod(scene.written_size) * (1 if numbers is None else len(shown_channels(scene)))
    if frames > MOST_FRAMES:
        raise PictureTooLargeError.of_frames(frames, MOST_FRAMES)


def _frames(scene: Scene, numbers: Numbers | None) -> list[Frame]:
    channels = [None] if numbers is None else shown_channels(scene)
    return [Frame(row, column, channel) for channel in channels for row, column in scene.positions]


def _still(scene: Scene) -> int:
    """The frame of the second position, where a step can be seen; where there is one alone, that."""
    return 1 if scene.written_size[1] > 1 else 0


def _say(
    drawing: Drawing, scene: Scene, numbers: Numbers | None, frames: list[Frame], layout: Layout
) -> None:
    """What stands below the picture: the frame in words or as a formula, then what holds for all of them."""
    y = layout.bottom + 30
    if numbers is None:
        shown, right, bottom = steps.captions(scene, frames, MARGIN, y)
    else:
        shown, right, bottom = steps.formulas(scene, numbers, frames, MARGIN, y)
    drawing.layers += shown
    notes = [*words.arithmetic(scene), *_legend(scene)]
    for index, note in enumerate(notes):
        drawing.layers.append(Label(MARGIN, bottom + 18 + index * _LINE, note, "muted", _NOTE, "start"))
    widest = max(sheets.text_width(note, _NOTE) for note in notes)
    title = MARGIN + sheets.text_width(drawing.title, _TITLE)
    drawing.width = round(max(layout.right, right, MARGIN + widest, title) + MARGIN)
    drawing.height = round(bottom + 18 + (len(notes) - 1) * _LINE + 16)


def _legend(scene: Scene) -> list[str]:
    kinds = {place.kind for track in (scene.rows, scene.columns) for place in track.places}
    said = []
    if Kind.COPY in kinds:
        said.append(
            f"padding_mode={scene.geometry.padding_mode!r}: a padding cell holds what its pixel holds"
        )
    if Kind.INSERTED in kinds:
        said.append("between the pixels: zeros, one less than the stride")
    if scene.rows.unread or scene.columns.unread:
        said.append("hatched: never read")
    return said
