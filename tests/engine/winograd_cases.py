"""Winograd's kernels where the plan would choose another, and how far they may be from the exact result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from hypothesis import strategies as st
from torch import Tensor

from engine.cases import Case, Integers, Operands, arrangement, drawn
from engine.judges import exact, padded
from tatamu.engine.cook_toom import Filtering, Matrix, filtering
from tatamu.engine.kernels.winograd.descriptions import points
from tatamu.engine.lowering import winograd as lowering
from tatamu.engine.plan_winograd import WinogradPlan, WinogradWork, plans
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target
from tatamu.geometry import PADDING_MODES, Axis, Geometry
from tolerance import bound

TAPS = ((3, 3), (1, 3), (3, 1), (5, 5), (1, 7), (5, 3))


@contextmanager
def forced(number: int) -> Iterator[list[WinogradPlan]]:
    """One of the plans that there are, whatever it costs; the list gets those that were taken."""
    taken: list[WinogradPlan] = []

    def choose(work: WinogradWork, element: ElementType, target: Target) -> WinogradPlan:
        found = plans(work, element, target)
        taken.append(found[number % len(found)])
        return taken[-1]

    original = lowering.plan_winograd
    lowering.plan_winograd = choose
    try:
        yield taken
    finally:
        lowering.plan_winograd = original


def geometry(integer: Integers) -> Geometry:
    """A convolution of stride 1 with several tiles, blocks of channels, and tails of all of them."""
    mode = PADDING_MODES[integer(0, 3)]
    axes = []
    for kernel in TAPS[integer(0, len(TAPS) - 1)]:
        size = integer(2, 23)
        most = {"reflect": size - 1, "circular": size}.get(mode, 4)
        before, after = integer(0, min(4, most)), integer(0, min(4, most))
        axes.append(Axis(max(size, kernel - before - after), kernel, 1, 1, before, after))
    groups = integer(1, 2)
    channels, m = groups * integer(1, 37), groups * integer(1, 50)
    return Geometry(integer(1, 3), channels, m, groups, axes[0], axes[1], mode)


def case(integer: Integers) -> Case:
    """Such a convolution on operands arranged at random."""
    arranged = (arrangement(integer), arrangement(integer), arrangement(integer))
    return Case(geometry(integer), arranged, bool(integer(0, 1)), bool(integer(0, 1)))


cases = st.composite(lambda draw: case(drawn(draw)))()


def limits(plan: WinogradPlan, it: Operands, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The largest error of each element of the forward pass and of grad input, from the operations alone."""
    geometry, dtype = it.geometry, it.input.dtype
    taps = geometry.kernel_size
    rows, columns = (filtering(m, r, points(m + r - 2)) for m, r in zip(plan.outputs, taps, strict=True))
    x, w, gy = (exact(t).abs() for t in (it.input, it.weight, it.grad_output))
    forward = _magnitude(rows, columns, padded(x, geometry), w, geometry.groups)
    if it.bias is not None:
        forward += exact(it.bias).abs()[:, None, None]
    o, c, h, v = w.shape
    turned = w.view(geometry.groups, o // geometry.groups, c, h, v).transpose(1, 2).flatten(0, 1).flip(2, 3)
    (top, bottom), (left, right) = geometry.padding
    sides = (v - 1 - left, v - 1 - right, h - 1 - top, h - 1 - bottom)
    grad_input = _magnitude(rows, columns, torch.nn.functional.pad(gy, sides), turned, geometry.groups)
    found = {}
    for name, magnitude, channels in (
        ("forward", forward, c),
        ("grad_input", grad_input, o // geometry.groups),
    ):
        found[name] = bound(dtype, _roundings(rows, columns) + channels, magnitude, expected[name])
    return found


def _roundings(rows: Filtering, columns: Filtering) -> int:
    """Roundings that a product goes through besides the sum over channels.

    In each dimension the input, the weight and the result are combined once, from so many terms at most: one
    rounding for each, one of the constant, and one more where even and odd parts are put together.
    """
    return sum(2 * (axis.products + 2) + axis.taps + 2 for axis in (rows, columns))


def _magnitude(rows: Filtering, columns: Filtering, x: Tensor, w: Tensor, groups: int) -> Tensor:
    """The algorithm on absolute values, matrices included: what each rounding is relative to.

    Source: Barabasz et al., 2020, arXiv:1803.10986, theorem 3; Higham, as in `tolerance`.
    """
    b_down, b_across, g_down, g_across, a_down, a_across = (
        _absolute(matrix)
        for matrix in (rows.input, columns.input, rows.weight, columns.weight, rows.output, columns.output)
    )
    n, channels, height, width = x.shape
    out_h, out_w = height - rows.taps + 1, width - columns.taps + 1
    tiles_h, tiles_w = -(-out_h // rows.outputs), -(-out_w // columns.outputs)
    room = torch.zeros(
        n,
        channels,
        tiles_h * rows.outputs + rows.taps - 1,
        tiles_w * columns.outputs + columns.taps - 1,
        dtype=torch.float64,
    )
    room[:, :, :height, :width] = x
    tiles = room.unfold(2, rows.products, rows.outputs).unfold(3, columns.products, columns.outputs)
    data = (b_down @ tiles @ b_across.T).unflatten(1, (groups, -1))
    weights = (g_down @ w @ g_across.T).unflatten(0, (groups, -1))
    sums = torch.einsum("ngctuij,gmcij->ngmtuij", data, weights)
    results = (a_down @ sums @ a_across.T).flatten(1, 2)  # n, m, tiles, tiles, rows, columns
    return results.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :out_h, :out_w].contiguous()


def _absolute(matrix: Matrix) -> Tensor:
    return torch.tensor([[abs(float(value)) for value in row] for row in matrix], dtype=torch.float64)
