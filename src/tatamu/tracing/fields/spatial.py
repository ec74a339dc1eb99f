"""What convolutions, poolings and interpolations read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from tatamu.tracing.fields import windows
from tatamu.tracing.fields.terms import Indices, Term, free, mixed, resampled, with_dim
from tatamu.tracing.fields.unions import Field
from tatamu.tracing.fields.views import Fields, each
from tatamu.tracing.steps import Step


def convolved(step: Step, fields: Fields) -> Field:
    """A convolution, transposed or not, of any number of axes."""
    value, weight, given = step.arguments["input"], step.arguments["weight"], step.arguments
    if step.geometry is not None:
        rows, columns = step.geometry.rows, step.geometry.columns
        mode = step.geometry.padding_mode
        reads = [
            [_padded(it, axis.size, axis.before, mode) for it in
             windows.sliding(axis.output, axis.kernel, axis.stride, axis.before, axis.dilation)]
            for axis in (rows, columns)
        ]  # fmt: skip
        steps = [Fraction(rows.stride), Fraction(columns.stride)]
        outputs, groups = step.geometry.out_channels, step.geometry.groups
    else:
        axes, groups = len(value.shape) - 2, given["groups"]
        shape = step.outputs[0].shape
        outputs, reads, steps = shape[1], [], []
        for axis in range(axes):
            stride, before, dilation = (pick(given[name], axis) for name in ("stride", "padding", "dilation"))
            size, count, kernel = (it.shape[2 + axis] for it in (value, step.outputs[0], weight))
            if given["transposed"]:
                reads.append([*windows.transposed(size, count, kernel, stride, before, dilation)])
                steps.append(Fraction(1, stride))
            else:
                reads.append([*windows.sliding(count, kernel, stride, before, dilation)])
                steps.append(Fraction(stride))
    channels = value.shape[1]

    def change(term: Term) -> Term | None:
        changed = _channels(term, channels, outputs, groups)
        return _along(changed, reads, steps)

    return each(fields(value), change)


def _padded(indices: Indices, size: int, before: int, mode: str) -> Indices:
    """The pixels that a window reads with such padding; those of zeros stay outside."""
    if mode == "zeros" or (min(indices) >= 0 and max(indices) < size):
        return indices
    amount = max(before, max(indices) - size + 1)
    copy = {"reflect": windows.reflected, "replicate": windows.replicated, "circular": windows.wrapped}[mode]
    places = copy(size, amount, amount)
    return tuple(places[it + amount][0] for it in indices)


def _channels(term: Term, inputs: int, outputs: int, groups: int) -> Term | None:
    if groups == 1 or all(it.reading is None for it in term.dims[1]):
        return with_dim(mixed(term, 1), 1, free(outputs))
    inside, made = inputs // groups, outputs // groups
    reads = [range(group * inside, (group + 1) * inside) for group in range(groups) for _ in range(made)]
    return resampled(term, 1, reads)


def _along(term: Term | None, reads: Sequence[Sequence[Indices]], steps: Sequence[Fraction]) -> Term | None:
    """Windows along the last dimensions."""
    for axis in range(-len(reads), 0):
        if term is not None:
            term = resampled(term, len(term.dims) + axis, reads[axis], steps[axis])
    return term


def pick(values: Sequence[int] | int, axis: int) -> int:
    """The value for an axis, of one for all or of one for each."""
    if isinstance(values, int):
        return values
    return values[axis] if len(values) > axis else values[0]


def pooled(step: Step, fields: Fields) -> list[Field]:
    """Pooling with a window."""
    value, given = step.inputs[0], step.arguments
    axes, shape = len(given["kernel_size"]), step.outputs[0].shape
    reads, steps = [], []
    for axis in range(axes):
        kernel = pick(given["kernel_size"], axis)
        stride = pick(given["stride"], axis) if given["stride"] else kernel
        dilation = pick(given.get("dilation", 1), axis)
        count = shape[len(shape) - axes + axis]
        reads.append(windows.sliding(count, kernel, stride, pick(given["padding"], axis), dilation))
        steps.append(Fraction(stride))
    found = each(fields(value), lambda term: _along(term, reads, steps))
    return [found] * len(step.outputs)


def adaptively_pooled(step: Step, fields: Fields) -> list[Field]:
    """Pooling to a given size."""
    value, sizes = step.inputs[0], step.arguments["output_size"]
    axes = len(sizes)
    old, new = value.shape[-axes:], step.outputs[0].shape[-axes:]
    reads = [windows.adaptive(*pair) for pair in zip(old, new, strict=True)]
    steps = [Fraction(size, count) for size, count in zip(old, new, strict=True)]
    found = each(fields(value), lambda term: _along(term, reads, steps))
    return [found] * len(step.outputs)


def _interpolation(name: str, given: Any) -> Callable[[int, int, float | None], Any]:
    if "nearest" in name:
        return partial(windows.nearest, exact="exact" in name)
    corners = given["align_corners"]
    if name.endswith("_aa"):
        radius = 1 if "linear" in name else 2
        return partial(windows.antialiased, align_corners=corners, radius=radius)
    return partial(windows.cubic if "cubic" in name else windows.linear, align_corners=corners)


def interpolated(step: Step, fields: Fields) -> Field:
    """Interpolation to another size."""
    value, given, shape = step.inputs[0], step.arguments, step.outputs[0].shape
    name = step.operator.removeprefix("aten.").partition(".")[0]
    axes, find = len(shape) - 2, _interpolation(name, given)
    scales = _scales(given, axes)
    reads, steps = [], []
    for axis in range(axes):
        size, count = value.shape[2 + axis], shape[2 + axis]
        reads.append(find(size, count, scales[axis]))
        steps.append(Fraction(size, count))
    return each(fields(value), lambda term: _along(term, reads, steps))


def _scales(given: Any, axes: int) -> list[float | None]:
    if given.get("scale_factors"):
        return list(given["scale_factors"])
    names = {1: ["scales"], 2: ["scales_h", "scales_w"], 3: ["scales_d", "scales_h", "scales_w"]}[axes]
    return [given.get(name) for name in names]
