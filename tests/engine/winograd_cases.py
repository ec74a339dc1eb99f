"""Winograd's kernels where the plan would choose another, and how far they may be from the exact result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from tatamu.engine.winograd_forms import Form
from tatamu.geometry import PADDING_MODES, Axis, Geometry
from tolerance import bound

TAPS = ((3, 3), (1, 3), (3, 1), (5, 5), (2, 4), (5, 3), (1, 7), (9, 2), (7, 7))


@contextmanager
def forced(number: int) -> Iterator[list[Any]]:
    """One of the plans that there are, whatever it costs; the list gets those that were taken."""
    taken: list[Any] = []

    def choosing(plans: Callable[..., list[Any]]) -> Callable[..., Any]:
        def choose(*work: Any) -> Any:
            found = plans(*work)
            if not found:
                return "there is nothing to gain"
            taken.append(found[number % len(found)])
            return taken[-1]

        return choose

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "plan_winograd", choosing(plans))
        patch.setattr(winograd_grad_weight, "plan_winograd_grad_weight", choosing(grad_weight_plans))
        yield taken


def geometry(integer: Integers) -> Geometry:
    """A convolution with several tiles, phases, blocks of channels, and tails of all of them."""
    mode = PADDING_MODES[integer(0, 3)]
    axes = []
    for kernel in TAPS[integer(0, len(TAPS) - 1)]:
        size = integer(2, 23)
        most = {"reflect": size - 1, "circular": size}.get(mode, 4)
        before, after = integer(0, min(4, most)), integer(0, min(4, most))
        stride = max(1, integer(-1, 3))
        dilation = max(1, integer(-2, 3)) if mode == "zeros" and stride == 1 else 1
        least = dilation * (kernel - 1) + 1 - before - after
        axes.append(Axis(max(size, least), kernel, stride, dilation, before, after))
    groups = integer(1, 2)
    channels, m = groups * integer(1, 37), groups * integer(1, 50)
    return Geometry(integer(1, 3), channels, m, groups, axes[0], axes[1], mode)


def case(integer: Integers) -> Case:
    """Such a convolution on operands arranged at random."""
    arranged = (arrangement(integer), arrangement(integer), arrangement(integer))
    return Case(geometry(integer), arranged, bool(integer(0, 1)), bool(integer(0, 1)))


cases = st.composite(lambda draw: case(drawn(draw)))()


def limits(plan: WinogradPlan, it: Operands, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The largest error of each element of the pass that the plan is for, from the operations alone.

    Of the forward pass or of grad input, whichever it is: both are computed, the other is meaningless.
    """
    geometry, dtype, form = it.geometry, it.input.dtype, plan.form
    x, w, gy = (exact(t).abs() for t in (it.input, it.weight, it.grad_output))
    dilation = geometry.rows.dilation, geometry.columns.dilation
    o, c, _, _ = w.shape
    turned = w.unflatten(0, (geometry.groups, -1)).transpose(1, 2).flatten(0, 1)
    has_stride = (geometry.rows.stride, geometry.columns.stride) != (1, 1)
    found = {}
    if form.rows.shift is None:
        forward = _magnitude(form, padded(x, geometry), w, geometry.groups, dilation, expected["forward"])
        if it.bias is not None:
            forward += exact(it.bias).abs()[:, None, None]
        found["forward"] = bound(dtype, _roundings(form) + form.count * c, forward, expected["forward"])
    if not has_stride or form.rows.shift is not None:
        around = _around(gy, geometry, form)
        turned = turned if has_stride else turned.flip(2, 3)
        magnitude = _magnitude(form, around, turned, geometry.groups, dilation, expected["grad_input"])
        count = _roundings(form) + form.count * (o // geometry.groups)
        found["grad_input"] = bound(dtype, count, magnitude, expected["grad_input"])
    return found


def _around(gy: Tensor, geometry: Geometry, form: Form) -> Tensor:
    """The gradient of the output with zeros before it, as many as the first tile of grad input reads."""
    before = []
    for axis, how in zip((geometry.rows, geometry.columns), form.axes, strict=True):
        first = 0 if how.shift is None else axis.before // axis.stride + how.first * axis.dilation
        before.append(-first if how.shift is not None else axis.effective_kernel - 1 - axis.before)
    return torch.nn.functional.pad(gy, (before[1], 0, before[0], 0))


def grad_weight_limit(plan: WinogradGradWeightPlan, it: Operands, expected: Tensor) -> Tensor:
    """The largest error of each element of grad weight, likewise; gradients take the weight's place."""
    geometry = it.geometry
    rows, columns = (filtering(r, m) for m, r in zip(plan.tile, geometry.kernel_size, strict=True))
    b_down, b_across, g_down, g_across, a_down, a_across = _absolute_all(rows, columns)
    (mh, mw), (kernel_h, kernel_w) = plan.tile, geometry.kernel_size
    source = padded(exact(it.input).abs(), geometry)
    magnitude, count = torch.zeros_like(expected), _roundings_of(rows, columns)
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


def _roundings(form: Form) -> int:
    return _roundings_of(*form.filters)


def _roundings_of(rows: Filtering, columns: Filtering) -> int:
    """Roundings that a product goes through besides the sum over channels.

    In each dimension the input, the weight and the result are combined once, from so many terms at most: one
    rounding for each, one of the constant, and one more where even and odd parts are put together.
    """
    return sum(axis.inputs + 2 + axis.products + 2 + axis.taps + 2 for axis in (rows, columns))


def _magnitude(
    form: Form, x: Tensor, w: Tensor, groups: int, dilation: tuple[int, int], like: Tensor
) -> Tensor:
    """The algorithm on absolute values, matrices included: what each rounding is relative to.

    ``x`` begins where the first tile does. Source: Barabasz et al., 2020, arXiv:1803.10986, theorem 3;
    Higham, as in `tolerance`.
    """
    found = torch.zeros_like(like)
    for down, across in _phases(dilation):
        if found[:, :, down, across].numel():
            size = found[:, :, down, across].shape[2:]
            found[:, :, down, across] = _of_phase(form, x[:, :, down, across], w, groups, size)
    return found


def _of_phase(form: Form, x: Tensor, w: Tensor, groups: int, size: Sequence[int]) -> Tensor:
    (rows, columns), (down, across) = form.filters, form.axes
    b_down, b_across, g_down, g_across, a_down, a_across = _absolute_all(rows, columns)
    tiles = [-(-n // axis.outputs) for n, axis in zip(size, form.axes, strict=True)]
    room = _enlarged(
        x, *((n - 1) * axis.advance + axis.span for n, axis in zip(tiles, form.axes, strict=True))
    )
    sums: Tensor | float = 0.0
    taps = torch.cat([w.flatten(2), torch.zeros(*w.shape[:2], 1, dtype=w.dtype)], 2)  # -1 is a missing tap.
    for y, x0, chosen in form.subkernels():
        seen = room[:, :, y:, x0:]
        seen = seen.unfold(2, (down.inputs - 1) * down.step + 1, down.advance)[:, :, : tiles[0]]
        seen = seen.unfold(3, (across.inputs - 1) * across.step + 1, across.advance)[:, :, :, : tiles[1]]
        seen = seen[..., :: down.step, :: across.step]
        kernel = taps[:, :, chosen].unflatten(2, (down.taps, across.taps))
        data = (b_down @ seen @ b_across.T).unflatten(1, (groups, -1))
        weights = (g_down @ kernel @ g_across.T).unflatten(0, (groups, -1))
        sums = sums + torch.einsum("ngctuij,gmcij->ngmtuij", data, weights)
    results = (a_down @ sums @ a_across.T).flatten(1, 2)  # n, m, tiles, tiles, rows, columns
    results = results.transpose(3, 4).flatten(4, 5).flatten(2, 3)
    return results[:, :, : size[0], : size[1]].contiguous()


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
