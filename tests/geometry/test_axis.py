"""One axis: its output, its gradients, what it reads and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from geometry.cases import Triple, axes, products, windows
from tatamu.geometry import PADDING_MODES, Axis


@given(axes())
def test_output_is_the_number_of_places_where_the_kernel_fits(axis: Axis) -> None:
    assert axis.output == len(windows(axis))
    assert axis.effective_kernel == windows(axis)[0][1] + 1


@given(axes())
def test_grad_input_phases_hold_every_product_once(axis: Axis) -> None:
    found: list[Triple] = []
    covered: list[int] = []
    for phase in axis.grad_input_phases:
        flipped = phase.taps[::-1]
        assert phase.axis.stride == 1
        assert phase.axis.kernel == len(phase.taps)
        assert phase.axis.size == axis.output
        assert phase.axis.output > 0
        for position in range(phase.axis.output):
            pixel = phase.first + axis.stride * position
            covered.append(pixel)
            for place, tap in enumerate(flipped):
                output = position + place * phase.axis.dilation - phase.axis.before
                if 0 <= output < axis.output:
                    found.append((pixel, output, tap))
    assert sorted(covered) == list(range(axis.size))
    assert len(found) == len(set(found))
    assert set(found) == products(axis)


@given(axes())
def test_grad_weight_is_a_convolution_that_holds_every_product_once(axis: Axis) -> None:
    gradient = axis.grad_weight
    assert gradient.output == axis.kernel
    assert gradient.kernel == axis.output
    assert gradient.after <= axis.after
    # The products of that convolution: its outputs are the taps, its taps are the outputs.
    assert {(pixel, output, tap) for pixel, tap, output in products(gradient)} == products(axis)


def test_phases_without_taps_where_the_stride_steps_over_pixels() -> None:
    first, second = Axis(size=4, kernel=1, stride=2).grad_input_phases
    assert (first.taps, first.axis.output) == (range(1), 2)
    assert (len(second.taps), second.axis.output) == (0, 2)


def read_by_torch(axis: Axis, mode: str) -> list[int]:
    """The pixels that have a gradient: those that some output reads. Every weight is 1."""
    x = torch.zeros(1, 1, 1, axis.size, dtype=torch.float64, requires_grad=True)
    padded = torch.nn.functional.pad(
        x, (axis.before, axis.after, 0, 0), mode="constant" if mode == "zeros" else mode
    )
    weight = torch.ones(1, 1, 1, axis.kernel, dtype=torch.float64)
    y = torch.nn.functional.conv2d(padded, weight, stride=(1, axis.stride), dilation=(1, axis.dilation))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    return [int(pixel) for pixel in gradient.flatten().nonzero()]


@given(axes(), st.sampled_from(PADDING_MODES))
def test_unread_pixels_have_no_gradient(axis: Axis, mode: str) -> None:
    limit = {"zeros": 7, "replicate": 7, "reflect": axis.size - 1, "circular": axis.size}[mode]
    axis = replace(axis, before=min(axis.before, limit), after=min(axis.after, limit))
    assume(axis.effective_kernel <= axis.padded)
    unread = axis.unread(mode)
    assert sorted([*unread, *read_by_torch(axis, mode)]) == list(range(axis.size))
    assert list(unread) == sorted(unread)


@pytest.mark.parametrize(
    ("axis", "unread"),
    [
        (Axis(224, 7, 2, 1, 3, 3), ()),  # One row is left over, and it is padding.
        (Axis(8, 3, 2), (7,)),
        (Axis(7, 1, 3), (1, 2, 4, 5)),
        (Axis(9, 2, 4, 2), (1, 3, 5, 7, 8)),
        (Axis(6, 3, 1, 1, -1, -2), (0, 4, 5)),
    ],
    ids=["padding is left over", "left over", "stride over kernel", "dilation", "crop"],
)
def test_unread_pixels_worked_out_by_hand(axis: Axis, unread: tuple[int, ...]) -> None:
    assert axis.unread() == unread
