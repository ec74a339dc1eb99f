"""Every numerical figure of the gallery, number by number, against torch; every other one by its cells."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from docs import pictures
from drawing.parsing import Document, grids, number, read

NUMERICAL: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "numerical_no_padding_no_strides": functional.conv2d,
    "numerical_padding_strides": lambda x, w: functional.conv2d(x, w, stride=2),  # The zeros are drawn.
    "numerical_average_pooling": lambda x, _: functional.avg_pool2d(x, 3, 1),
    "numerical_max_pooling": lambda x, _: functional.max_pool2d(x, 3, 1),
}
# What the guide's figures show: input, padding, kernel, stride, dilation; output.
SETTINGS = {
    "no_padding_no_strides": (4, 0, 3, 1, 1, 2),
    "arbitrary_padding_no_strides": (5, 2, 4, 1, 1, 6),
    "same_padding_no_strides": (5, 1, 3, 1, 1, 5),
    "full_padding_no_strides": (5, 2, 3, 1, 1, 7),
    "no_padding_strides": (5, 0, 3, 2, 1, 2),
    "padding_strides": (5, 1, 3, 2, 1, 3),
    "padding_strides_odd": (6, 1, 3, 2, 1, 3),
    "dilation": (7, 0, 3, 1, 2, 3),
}


def drawn(name: str) -> Document:
    return read(pictures.HERE / "gallery" / f"{name}.svg")


def frames(count: int) -> list[float]:
    """The middle of each frame, in percent of the animation, whose last frame is seen twice as long."""
    return [100 * (frame + 0.5) / (count + 1) for frame in range(count)]


def plane(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


@pytest.mark.parametrize("name", NUMERICAL)
def test_every_number_is_torchs(name: str) -> None:
    document = drawn(name)
    final = grids(document.seen(99.9))
    kernel = plane(final[1]) if len(final) == 3 else None
    expected = NUMERICAL[name](plane(final[0]), kernel)
    torch.testing.assert_close(plane(final[-1]), expected, atol=0.005, rtol=0)
    height, width = expected.shape[2:]
    assert (height, width) == (3, 3)
    for index, percent in enumerate(frames(9)):
        seen = document.seen(percent)
        results = [value for row in grids(seen)[-1] for value in row]
        assert len(results) == index + 1
        heads = [text.text for text in seen.texts if text.text.startswith("output[")]
        assert [re.findall(r"\d+", head) for head in heads] == [[str(index // width), str(index % width)]]
        results_said = [text.text for text in seen.texts if re.search(r"[=≈] −?[\d.]+$", text.text)]
        (said,) = [it for it in results_said if "floor" not in it]
        shown = number(re.split(r"[=≈]", said)[-1])
        assert shown == pytest.approx(expected[0, 0, index // width, index % width].item(), abs=0.005)


def boxes(document: Document, percent: float, style: str) -> list[tuple[float, float, float, float]]:
    """The rectangles (x, y, width, height) whose style holds a declaration."""
    found = []
    for x, y, rest, rules in document.seen(percent).paths:
        size = re.fullmatch(r"h([\d.]+)v([\d.]+)h-\1z", rest)
        if size and style in rules:
            found.append((x, y, float(size[1]), float(size[2])))
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_the_kernel_goes_where_the_guide_says(name: str) -> None:
    size, padding, kernel, stride, dilation, outputs = SETTINGS[name]
    document = drawn(name)
    field = max(boxes(document, 0, "dasharray") + boxes(document, 0, "fill:#d3e6f8"), key=lambda box: box[2])
    cell = field[2] / (size + 2 * padding)
    for index, percent in enumerate(frames(outputs**2)):
        row, column = divmod(index, outputs)
        taps = sorted((y, x) for x, y, *_ in boxes(document, percent, "fill:#f7951b"))
        expected = sorted(
            (
                field[1] + cell * (row * stride + i * dilation),
                field[0] + cell * (column * stride + j * dilation),
            )
            for i in range(kernel)
            for j in range(kernel)
        )
        assert [x for tap in taps for x in tap] == pytest.approx(
            [x for tap in expected for x in tap], abs=0.02
        )


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "dilation"])
def test_a_transposed_figure_shows_the_sizes_of_torchs_transposed_convolution(name: str) -> None:
    size, padding, kernel, stride, _, outputs = SETTINGS[name]
    document = drawn(f"{name}_transposed")
    texts = [text.text for text in document.seen(0).texts]
    assert f"gradient of output {outputs} × {outputs}" in texts
    assert f"gradient of input {size} × {size}" in texts
    more = (size + 2 * padding - kernel) % stride
    transposed = functional.conv_transpose2d(
        torch.ones(1, 1, outputs, outputs), torch.ones(1, 1, kernel, kernel), None, stride, padding, more
    )
    assert transposed.shape[2:] == (size, size)
    pixels = boxes(document, 0, "fill:#d3e6f8")
    if stride > 1:
        assert len(pixels) == outputs**2
