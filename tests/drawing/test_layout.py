"""Nothing lies over what it does not belong to, and nothing reaches beyond the picture."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from PIL import ImageFont

from drawing import cases
from tatamu.drawing.compose import compose
from tatamu.drawing.layout import lay_out, shown_channels
from tatamu.drawing.numbers import Numbers
from tatamu.drawing.scene import Scene
from tatamu.drawing.shapes import Box, Drawing, Label, Lines
from tatamu.geometry import Convolution, Geometry, resolve_padding


def geometry(
    size: int, kernel: int, stride: int = 1, padding: int = 0, channels: tuple[int, int, int] = (1, 1, 1)
) -> Geometry:
    inputs, outputs, groups = channels
    pair = (stride, stride)
    sides = resolve_padding(padding, (kernel, kernel), pair, (1, 1), (size, size))
    weight_size = (outputs, inputs // groups, kernel, kernel)
    return Geometry.of((1, inputs, size, size), weight_size, Convolution(pair, sides, groups=groups))


def drawings() -> list[Drawing]:
    named = [
        geometry(9, 7, 2, 3),
        geometry(5, 1),
        geometry(1, 1),
        geometry(40, 16, 8),
        geometry(5, 3, 1, 1, (16, 16, 16)),
        geometry(5, 3, 1, 1, (16, 32, 1)),
        geometry(5, 3, 1, 1, (12, 6, 2)),
    ]
    scenes = [Scene.of(it) for it in (*named, *(cases.geometry(channels=True) for _ in range(10)))]
    scenes += [Scene.of(cases.geometry(channels=True), transposed=True) for _ in range(5)]
    found = [compose(scene, bias=True) for scene in scenes]
    for it in (geometry(3, 2, channels=(2, 5, 1)), geometry(14, 3, 3), geometry(4, 3, 1, 1, (4, 4, 2))):
        found += [compose(Scene.of(it), numbers(it, whole), bias=True) for whole in (True, False)]
    return found


def numbers(of: Geometry, whole: bool) -> Numbers:
    input, weight = torch.randn(of.input_size).double(), torch.randn(of.weight_size).double()
    if whole:
        input, weight = (9 * input).round(), (3 * weight).round()
    bias = torch.ones(of.out_channels).double()
    output = cases.output(of, input, weight, bias)
    return Numbers(input[0].tolist(), weight.tolist(), output[0].tolist(), bias.tolist())


def extents(drawing: Drawing, frame: int) -> list[tuple[str, float, float, float, float]]:
    found = []
    for shape, dx, dy in drawing.at(frame):
        if isinstance(shape, Box):
            found.append(
                (
                    shape.style,
                    shape.x + dx,
                    shape.y + dy,
                    shape.x + dx + shape.width,
                    shape.y + dy + shape.height,
                )
            )
        elif isinstance(shape, Lines):
            for x1, y1, x2, y2 in shape.segments:
                found.append(
                    (shape.style, min(x1, x2) + dx, min(y1, y2) + dy, max(x1, x2) + dx, max(y1, y2) + dy)
                )
        else:
            font = ImageFont.load_default(shape.size)
            left, top, right, bottom = font.getbbox(
                shape.text, anchor={"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
            )
            found.append((shape.text, shape.x + left, shape.y + top, shape.x + right, shape.y + bottom))
    return found


def test_everything_lies_within_the_picture() -> None:
    for drawing in drawings():
        for frame in {0, drawing.still, drawing.frames - 1}:
            for what, left, top, right, bottom in extents(drawing, frame):
                inside = left >= 0 and top >= 0 and right <= drawing.width and bottom <= drawing.height
                assert inside, (drawing.title, what, left, top, right, bottom)


def test_sheets_do_not_touch() -> None:
    for _ in range(30):
        scene = Scene.of(cases.geometry(channels=True))
        layout = lay_out(scene, None, True, 50)
        areas = [(sheet, len(scene.rows.places), len(scene.columns.places)) for sheet in layout.read.values()]
        areas += [
            (sheet, scene.rows.extent, scene.columns.extent) for of in layout.kernels.values() for sheet in of
        ]
        areas += [(sheet, *scene.written_size) for sheet in layout.written.values()]
        for (a, a_rows, a_columns), (b, b_rows, b_columns) in combinations(areas, 2):
            apart_x = a.x + a_columns * a.cell + 4 <= b.x or b.x + b_columns * b.cell + 4 <= a.x
            apart_y = a.y + a_rows * a.cell + 4 <= b.y or b.y + b_rows * b.cell + 4 <= a.y
            assert apart_x or apart_y, scene.geometry


def test_texts_do_not_overlap() -> None:
    for drawing in drawings():
        labels = [shape for shape, *_ in drawing.at(drawing.still) if isinstance(shape, Label)]
        boxes = [
            ImageFont.load_default(it.size).getbbox(
                it.text, anchor={"start": "ls", "middle": "ms", "end": "rs"}[it.anchor]
            )
            for it in labels
        ]
        areas = [
            (it.x + b[0], it.y + b[1], it.x + b[2], it.y + b[3], it.text)
            for it, b in zip(labels, boxes, strict=True)
        ]
        for a, b in combinations(areas, 2):
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (drawing.title, a, b)


@pytest.mark.parametrize(
    ("channels", "shown"),
    [
        ((1, 1, 1), [0]),
        ((1, 3, 1), [0, 1, 2]),
        ((3, 64, 1), [0, 1]),
        ((4, 4, 4), [0, 1, 2, 3]),
        ((16, 16, 16), [0, 1, 2]),
        ((2, 6, 2), [0, 3]),
    ],
)
def test_of_many_channels_some_are_drawn_and_the_rest_is_counted(
    channels: tuple[int, int, int], shown: list[int]
) -> None:
    scene = Scene.of(geometry(5, 3, channels=channels))
    assert shown_channels(scene) == shown
    texts = " ".join(label.text for label in lay_out(scene, None, False, 50).over if isinstance(label, Label))
    groups = channels[2]
    hidden = {(3, 64): "62 more", (16, 16): "13 more groups", (2, 6): "2 more"}.get(channels[:2])
    assert (hidden or "more") in texts if hidden else "more" not in texts, groups
