"""What a frame marks as read is what torch's output depends on, in every padding mode, and backwards too."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch

from drawing import cases
from tatamu.drawing.scene import Frame, Kind, Scene
from tatamu.geometry import PADDING_MODES, Convolution, Geometry

TRIES = 20


def summed(scene: Scene, frame: Frame, weight: torch.Tensor) -> dict[tuple[int, int], float]:
    """What each pixel that a frame reads is multiplied with, altogether."""
    found: dict[tuple[int, int], float] = defaultdict(float)
    for window in scene.windows(frame):
        for cell in scene.cells(window):
            pixel = scene.source(cell.row, cell.column)
            if pixel is not None:
                found[pixel] += weight[0, 0, cell.tap[0], cell.tap[1]].item()
    return dict(found)


def changing(derivative: torch.Tensor) -> dict[tuple[int, int], float]:
    """The pixels of a plane that are not zero."""
    return {(int(row), int(column)): derivative[row, column].item() for row, column in derivative.nonzero()}


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_a_frame_reads_what_its_output_depends_on_with_these_weights(mode: str) -> None:
    for _ in range(TRIES):
        geometry = cases.geometry(mode)
        scene, weight = Scene.of(geometry), cases.weight(geometry)
        jacobian = cases.jacobian(geometry, weight)
        assert scene.written_size == jacobian.shape[:2]
        for row, column in scene.positions:
            assert summed(scene, Frame(row, column), weight) == changing(jacobian[row, column]), geometry


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_a_frame_of_the_gradient_reads_what_its_pixel_reached(mode: str) -> None:
    for _ in range(TRIES):
        geometry = cases.geometry(mode)
        scene, weight = Scene.of(geometry, transposed=True), cases.weight(geometry)
        input = torch.zeros(1, *geometry.input_size[1:], dtype=torch.float64, requires_grad=True)
        output = cases.output(geometry, input, weight)
        # The gradient of the input is linear in that of the output: one of its pixels at a time.
        gradients = torch.eye(output.numel(), dtype=torch.float64).reshape(-1, *output.shape)
        (found,) = torch.autograd.grad(output, input, gradients, is_grads_batched=True)
        by_pixel = found[:, 0, 0].permute(1, 2, 0).unflatten(2, output.shape[2:])
        assert scene.written_size == geometry.input_size[2:]
        for row, column in scene.positions:
            assert summed(scene, Frame(row, column), weight) == changing(by_pixel[row, column]), geometry


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_pixel_that_changes_nothing_is_unread(mode: str, transposed: bool) -> None:
    for _ in range(TRIES):
        geometry = cases.geometry(mode)
        scene = Scene.of(geometry, transposed)
        used = cases.jacobian(geometry, cases.weight(geometry)).sum((2, 3) if transposed else (0, 1)) != 0
        for row in range(len(scene.rows.places)):
            for column in range(len(scene.columns.places)):
                if scene.kind(row, column) is Kind.PIXEL:
                    pixel = scene.source(row, column)
                    assert pixel is not None
                    assert scene.is_unread(row, column) != used[pixel].item(), geometry


def test_every_pixel_has_its_place_and_the_rest_is_padding() -> None:
    geometry = Geometry.of(
        (1, 1, 3, 4), (1, 1, 2, 2), Convolution(padding=((1, 0), (2, 1)), padding_mode="circular")
    )
    scene = Scene.of(geometry)
    assert [place.kind.value for place in scene.rows.places] == ["copy", "pixel", "pixel", "pixel"]
    assert [place.source for place in scene.columns.places] == [2, 3, 0, 1, 2, 3, 0]
    assert scene.pixel_cell(0, 0) == (3, 4)


def test_a_gradient_of_a_stride_has_zeros_between() -> None:
    geometry = Geometry.of((1, 1, 5, 5), (1, 1, 3, 3), Convolution(stride=(2, 2)))
    kinds = [place.kind for place in Scene.of(geometry, transposed=True).rows.places]
    assert kinds == [
        Kind.PADDING,
        Kind.PADDING,
        Kind.PIXEL,
        Kind.INSERTED,
        Kind.PIXEL,
        Kind.PADDING,
        Kind.PADDING,
    ]
