"""Winograd's kernels where the plan would choose another, and how far they may be from the exact result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from engine.cases import Case, Integers, Operands, arrangement, drawn
from engine.judges import exact, padded
from tatamu.engine.cook_toom import Filtering, Matrix, filtering
from tatamu.engine.lowering import winograd, winograd_grad_weight
from tatamu.engine.planning.winograd import WinogradPlan, plans
from tatamu.engine.planning.winograd_grad_weight import WinogradGradWeightPlan, grad_weight_plans
from tatamu.geometry import PADDING_MODES, Axis, Geometry
from tolerance import bound

TAPS = ((3, 3), (1, 3), (3, 1), (5, 5), (2, 4), (5, 3))


@contextmanager
def forced(number: int) -> Iterator[list[Any]]:
    """One of the plans that there are, whatever it costs; the list gets those that were taken."""
    taken: list[Any] = []

    def choosing(plans: Callable[..., list[Any]]) -> Callable[..., Any]:
        def choose(*work: Any) -> Any:
            found = plans(*work)
            taken.append(found[number % len(found)])
            return taken[-1]

        return choose

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "plan_winograd", choosing(plans))
        patch.setattr(winograd_grad_weight, "plan_winograd_grad_weight", choosing(grad_weight_plans))
        yield taken


def geometry(integer: Integers) -> Geometry:
    """A convolution of stride 1 with several tiles, phases, blocks of channels, and tails of all of them."""
    mode = PADDING_MODES[integer(0, 3)]
    axes = []
    for kernel in TAPS[integer(0, len(TAPS) - 1)]:
        size = integer(2, 23)
        most = {"reflect": size - 1, "circular": size}.get(mode, 4)
        before, after = integer(0, min(4, most)), integer(0, min(4, most))
        dilation = max(1, integer(-2, 3)) if mode == "zeros" else 1
        least = dilation * (kernel - 1) + 1 - before - after
        axes.append(Axis(max(size, least), kernel, 1, dilation, before, after))
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
    rows, columns = (filtering(m, r) for m, r in zip(plan.outputs, taps, strict=True))
    x, w, gy = (exact(t).abs() for t in (it.input, it.weight, it.grad_output))
    dilation = geometry.rows.dilation, geometry.columns.dilation
    forward = _magnitude(rows, columns, padded(x, geometry), w, geometry.groups, dilation)
    if it.bias is not None:
        forward += exact(it.bias).abs()[:, None, None]
    o, c, h, v = w.shape
    turned = w.view(geometry.groups, o // geometry.groups, c, h, v).transpose(1, 2).flatten(0, 1).flip(2, 3)
    (top, bottom), (left, right) = geometry.padding
    down, across = (axis.effective_kernel - 1 for axis in (geometry.rows, geometry.columns))
    around = torch.nn.functional.pad(gy, (across - left, across - right, down - top, down - bottom))
    grad_input = _magnitude(rows, columns, around, turned, geometry.groups, dilation)
    found = {}
    for name, magnitude, channels in (
        ("forward", forward, c),
        ("grad_input", grad_input, o // geometry.groups),
    ):
        found[name] = bound(dtype, _roundings(rows, columns) + channels, magnitude, expected[name])
    return found


def grad_weight_limit(plan: WinogradGradWeightPlan, it: Operands, expected: Tensor) -> Tensor:
    """The largest error of each element of grad weight, likewise; gradients take the weight's place."""
    geometry = it.geometry
    rows, columns = (filtering(r, m) for m, r in zip(plan.tile, geometry.kernel_size, strict=True))
    b_down, b_across, g_down, g_across, a_down, a_across = _absolute_all(rows, columns)
    (mh, mw), (kernel_h, kernel_w) = plan.tile, geometry.kernel_size
    source = padded(exact(it.input).abs(), geometry)
    magnitude, count = torch.zeros_like(expected), _roundings(rows, columns)
    for down, across in _phases((geometry.rows.dilation, geometry.columns.dilation)):
        gy = exact(it.grad_output).abs()[:, :, down, across]
        if not gy.numel():
            continue
        tiles_h, tiles_w = -(-gy.shape[2] // mh), -(-gy.shape[3] // mw)
        grads = _enlarged(gy, tiles_h * mh, tiles_w * mw).unfold(2, mh, mh).unfold(3, mw, mw)
        height, width = tiles_h * mh + kernel_h - 1, tiles_w * mw + kernel_w - 1
        x = _enlarged(source[:, :, down, across], height, width)
        tiles = x.unfold(2, mh + kernel_h - 1, mh).unfold(3, mw + kernel_w - 1, mw)
        left = (b_down @ tiles @ b_across.T).unflatten(1, (geometry.groups, -1))
        right = (g_down @ grads @ g_across.T).unflatten(1, (geometry.groups, -1))
        sums = torch.einsum("ngctuij,ngmtuij->gmcij", left, right)
        magnitude += (a_down @ sums @ a_across.T).flatten(0, 1)
        count += geometry.batch * tiles_h * tiles_w
    return bound(it.input.dtype, count, magnitude, expected)


def _phases(dilation: tuple[int, int]) -> list[tuple[slice, slice]]:
    """The rows and columns of each convolution without dilation that one with dilation is made of."""
    return [
        (slice(i, None, dilation[0]), slice(j, None, dilation[1]))
        for i in range(dilation[0])
        for j in range(dilation[1])
    ]


def _roundings(rows: Filtering, columns: Filtering) -> int:
    """Roundings that a product goes through besides the sum over channels.

    In each dimension the input, the weight and the result are combined once, from so many terms at most: one
    rounding for each, one of the constant, and one more where even and odd parts are put together.
    """
    return sum(2 * (axis.products + 2) + axis.taps + 2 for axis in (rows, columns))


def _magnitude(
    rows: Filtering, columns: Filtering, x: Tensor, w: Tensor, groups: int, dilation: tuple[int, int]
) -> Tensor:
    """The algorithm on absolute values, matrices included: what each rounding is relative to.

    Source: Barabasz et al., 2020, arXiv:1803.10986, theorem 3; Higham, as in `tolerance`.
    """
    if dilation != (1, 1):
        size = [have - step * (axis.taps - 1) for have, step, axis in
                zip(x.shape[2:], dilation, (rows, columns), strict=True)]  # fmt: skip
        found = torch.zeros(x.shape[0], w.shape[0], *size, dtype=torch.float64)
        for down, across in _phases(dilation):
            if found[:, :, down, across].numel():
                of_phase = _magnitude(rows, columns, x[:, :, down, across], w, groups, (1, 1))
                found[:, :, down, across] = of_phase
        return found
    b_down, b_across, g_down, g_across, a_down, a_across = _absolute_all(rows, columns)
    height, width = x.shape[2:]
    out_h, out_w = height - rows.taps + 1, width - columns.taps + 1
    tiles_h, tiles_w = -(-out_h // rows.outputs), -(-out_w // columns.outputs)
    room = _enlarged(x, tiles_h * rows.outputs + rows.taps - 1, tiles_w * columns.outputs + columns.taps - 1)
    tiles = room.unfold(2, rows.products, rows.outputs).unfold(3, columns.products, columns.outputs)
    data = (b_down @ tiles @ b_across.T).unflatten(1, (groups, -1))
    weights = (g_down @ w @ g_across.T).unflatten(0, (groups, -1))
    sums = torch.einsum("ngctuij,gmcij->ngmtuij", data, weights)
    results = (a_down @ sums @ a_across.T).flatten(1, 2)  # n, m, tiles, tiles, rows, columns
    return results.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :out_h, :out_w].contiguous()


def _enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """With zeros at the bottom and at the right."""
    room = torch.zeros(*x.shape[:2], max(height, x.shape[2]), max(width, x.shape[3]), dtype=torch.float64)
    room[:, :, : x.shape[2], : x.shape[3]] = x
    return room[:, :, :height, :width]


def _absolute_all(rows: Filtering, columns: Filtering) -> list[Tensor]:
    """|Bᵀ|, |G| and |Aᵀ|, each of the rows and of the columns."""
    matrices = (rows.input, columns.input, rows.weight, columns.weight, rows.output, columns.output)
    return [_absolute(matrix) for matrix in matrices]


def _absolute(matrix: Matrix) -> Tensor:
    return torch.tensor([[abs(float(value)) for value in row] for row in matrix], dtype=torch.float64)
