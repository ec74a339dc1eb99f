"""Grad input with its stride phases as result channels → the planar kernel.

With stride s each pixel of grad output, and its neighbours, give an s x s patch of each channel. A patch of
few channels fills a register that the channels alone would not, and a kernel no larger than its stride is
then one product of matrices.
"""

from __future__ import annotations

from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.lowering.planar import Folded, lower_jobs
from tatamu.engine.lowering.sides import Side
from tatamu.engine.spec import ElementType, Layout
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry

_WORTH = 0.85
"""How much of the part of the products that are useful with the channels alone must be with phases too."""
_LEAST_PLANAR, _LEAST_INTERLEAVED = 0.6, 0.5
"""The part of the products below which the direct kernel is faster."""
_SHORT_RUN = 4
_FILLED = 0.75
"""Channels that fill registers so far do better alone than with runs of so few results to write."""


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered | None:
    """The gradient of the input, or None where another technique is better."""
    axes = geometry.rows, geometry.columns
    channels = geometry.in_channels // geometry.groups
    layout = result.layout(geometry.input_size)
    interleaved = layout is Layout.INTERLEAVED and result.strides[3] == channels and geometry.groups == 1
    if (
        element.parts > 1
        or any(axis.dilation > 1 and axis.kernel > 1 for axis in axes)
        or geometry.padding_mode != "zeros"
        or not (interleaved or result.strides[3] == 1)
    ):
        return None
    lanes = target.lanes(element.compute_bytes)
    phases_h, phases_w = (axis.stride for axis in axes)
    m = channels * phases_h * phases_w
    taps_h, taps_w = (-(-axis.kernel // axis.stride) for axis in axes)
    wanted = channels * geometry.rows.kernel * geometry.columns.kernel
    useful = wanted / (taps_h * taps_w * -(-m // lanes) * lanes)
    alone = channels / (-(-channels // lanes) * lanes)
    short = phases_w * (channels if interleaved else 1) < _SHORT_RUN
    if (
        phases_h * phases_w == 1
        or useful < (_LEAST_INTERLEAVED if interleaved else _LEAST_PLANAR)
        or useful < _WORTH * alone
        or (short and alone >= _FILLED)
    ):
        return None
    outputs = geometry.out_channels // geometry.groups
    weight_o, *_ = weight.strides
    side = Side(
        grad_output.strides,
        result.strides,
        outputs,
        m,
        weight_o * outputs,
        0,
        weight_o,
        grad_output.conjugated,
        weight.conjugated,
        None,
    )
    places, runs = _weights(geometry, channels, weight, interleaved, lanes)
    rows, columns = (_taps(axis) for axis in axes)
    words = {
        Word.TARGET_G: result.strides[1] * channels,
        Word.PHASES_H: phases_h,
        Word.PHASES_W: phases_w,
        Word.FIRST_H: _first(geometry.rows),
        Word.FIRST_W: _first(geometry.columns),
        Word.RESULT_H: geometry.rows.size,
        Word.RESULT_W: geometry.columns.size,
    }
    return lower_jobs(
        geometry, element, target, side, [(rows, columns)], "zeros", weight, Folded(words, places, runs)
    )


def _first(axis: Axis) -> int:
    """The first position of the first patch: in the padding before the source, or 0."""
    return axis.before // axis.stride * axis.stride - axis.before


def _taps(axis: Axis) -> AxisTaps:
    """The pixels of grad output that each patch sums over."""
    first, last = axis.before // axis.stride, (axis.size - 1 + axis.before) // axis.stride
    taps = tuple((a, first - a) for a in range(-(-axis.kernel // axis.stride)))
    return AxisTaps(taps, 1, last - first + 1, axis.output)


def _weights(
    geometry: Geometry, channels: int, weight: Operand, interleaved: bool, lanes: int
) -> tuple[list[int], list[int]]:
    """Where the weight of each (tap, result channel) lies, or -1; and where a register of them is a run."""
    rows, columns = geometry.rows, geometry.columns
    _, step_c, step_h, step_w = weight.strides

    def along(axis: Axis, tap: int, step: int) -> list[int]:
        kernel = (tap * axis.stride + phase for phase in range(axis.stride))
        return [k * step if k < axis.kernel else -1 for k in kernel]

    places, runs = [], []
    of_channels = [c * step_c for c in range(channels)]
    for tap_h in range(-(-rows.kernel // rows.stride)):
        for tap_w in range(-(-columns.kernel // columns.stride)):
            down, across = along(rows, tap_h, step_h), along(columns, tap_w, step_w)
            patch = [y + x if y >= 0 and x >= 0 else -1 for y in down for x in across]
            if interleaved:
                found = [at + c if at >= 0 else -1 for at in patch for c in of_channels]
            else:
                found = [at + c if at >= 0 else -1 for c in of_channels for at in patch]
            found += [-1] * (-len(found) % lanes)
            places += found
            for begin in range(0, len(found), lanes):
                at = found[begin]
                together = at >= 0 and found[begin : begin + lanes] == list(range(at, at + lanes))
                runs.append(at if together else -1)
    return places, runs
