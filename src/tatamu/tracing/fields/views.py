"""What views, concatenations and other rearrangements of elements read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from tatamu.tracing.fields.terms import Indices, Term, expanded, permuted, resampled, viewed
from tatamu.tracing.fields.unions import Field, union
from tatamu.tracing.fields.windows import reflected, replicated, zeros
from tatamu.tracing.steps import Step, Value

Fields = Callable[[Value], Field]
Rule = Callable[[Step, Fields], Field | list[Field]]


def each(field: Field, change: Callable[[Term], Term | None]) -> Field:
    """The union of the changed terms."""
    return union(map(change, field))


def regrouped(step: Step, fields: Fields) -> Field:
    """The same elements in the same order."""
    shape = step.outputs[0].shape
    return each(fields(step.inputs[0]), lambda term: viewed(term, shape))


def reordered(step: Step, fields: Fields) -> Field:
    """Dimensions in another order."""
    return each(fields(step.inputs[0]), lambda term: permuted(term, order_of(step)))


def order_of(step: Step) -> list[int]:
    """Which dimension of the input each of a transposition's output is."""
    given, axes = step.arguments, list(range(len(step.inputs[0].shape)))
    if "dims" in given:
        return [axes[it] for it in given["dims"]]
    first, second = (given["dim0"], given["dim1"]) if "dim0" in given else (0, -1)
    order = list(axes)
    if axes:
        order[first], order[second] = axes[second], axes[first]
    return order


def broadcast(step: Step, fields: Fields) -> Field:
    """Copies along dimensions of one element."""
    shape = step.outputs[0].shape
    return each(fields(step.inputs[0]), lambda term: expanded(term, shape))


def repeated(step: Step, fields: Fields) -> Field:
    """Copies one after the other, along every dimension."""
    value, repeats = step.inputs[0], step.arguments["repeats"]
    shape = (1,) * (len(repeats) - len(value.shape)) + value.shape

    def change(term: Term) -> Term | None:
        changed: Term | None = viewed(term, shape)
        for dim, (size, times) in enumerate(zip(shape, repeats, strict=True)):
            if changed is not None and times != 1:
                changed = resampled(changed, dim, [(it,) for it in range(size)] * times)
        return changed

    return each(fields(value), change)


def taken(field: Field, dim: int, reads: Sequence[Indices], step: Fraction = Fraction(1)) -> Field:
    """Some of the indices of a dimension; nothing where a new index reads none."""
    return each(field, lambda term: resampled(term, dim, reads, step))


def sliced(step: Step, fields: Fields) -> Field:
    """A slice along one dimension."""
    value, given = step.inputs[0], step.arguments
    dim, places = places_of(step, 0)
    return taken(fields(value), dim, [(it,) for it in places], Fraction(given["step"]))


def places_of(step: Step, output: int) -> tuple[int, range]:
    """The dimension of a slice, selection, split or unbinding, and which of its indices an output has."""
    given, shape = step.arguments, step.inputs[0].shape
    dim = given["dim"] % len(shape)
    if "start" in given:
        return dim, range(shape[dim])[given["start"] : given["end"] : given["step"]]
    if len(step.outputs[output].shape) < len(shape):
        index = given.get("index", output) % shape[dim]
        return dim, range(index, index + 1)
    start = sum(it.shape[dim] for it in step.outputs[:output])
    return dim, range(start, start + step.outputs[output].shape[dim])


def selected(step: Step, fields: Fields) -> Field:
    """One index of a dimension, which goes."""
    return _part(step, 0, fields)


def unbound(step: Step, fields: Fields) -> list[Field]:
    """Each index of a dimension by itself."""
    return [_part(step, output, fields) for output in range(len(step.outputs))]


def split(step: Step, fields: Fields) -> list[Field]:
    """Stretches of a dimension."""
    return [_part(step, output, fields) for output in range(len(step.outputs))]


def _part(step: Step, output: int, fields: Fields) -> Field:
    dim, places = places_of(step, output)
    found = taken(fields(step.inputs[0]), dim, [(it,) for it in places])
    return each(found, lambda term: viewed(term, step.outputs[output].shape))


def concatenated(step: Step, fields: Fields) -> Field:
    """One after the other along a dimension."""
    dim, start = step.arguments["dim"] % len(step.outputs[0].shape), 0
    terms: list[Term] = []
    total = step.outputs[0].shape[dim]
    for value in step.arguments["tensors"]:
        if value.shape == (0,):  # torch passes over such, of whatever dimensions the others are.
            continue
        size = value.shape[dim]
        reads: list[Indices] = [(it - start,) if 0 <= it - start < size else () for it in range(total)]
        terms += taken(fields(value), dim, reads)
        start += size
    return union(terms)


def stacked(step: Step, fields: Fields) -> Field:
    """One after the other along a new dimension."""
    shape, values = step.outputs[0].shape, step.arguments["tensors"]
    dim, terms = step.arguments["dim"] % len(shape), list[Term]()
    single = (*shape[:dim], 1, *shape[dim + 1 :])
    for place, value in enumerate(values):
        reads: list[Indices] = [(0,) if it == place else () for it in range(len(values))]
        terms += taken(each(fields(value), lambda term: viewed(term, single)), dim, reads)
    return union(terms)


def flipped(step: Step, fields: Fields) -> Field:
    """Dimensions the other way round."""
    value, field = step.inputs[0], fields(step.inputs[0])
    for dim in step.arguments["dims"]:
        size = value.shape[dim]
        field = taken(field, dim % len(value.shape), [(it,) for it in reversed(range(size))])
    return field


def rolled(step: Step, fields: Fields) -> Field:
    """Dimensions turned round; without dimensions the elements in their order."""
    value, given = step.inputs[0], step.arguments
    field, dims, shape = fields(value), given["dims"], value.shape
    if not dims:
        count = step.outputs[0].shape
        field = each(field, lambda term: viewed(term, [_product(count)]))
        shape, dims = (_product(count),), [0]
    for dim, shift in zip(dims, given["shifts"], strict=True):
        size = shape[dim]
        field = taken(field, dim % len(shape), [((it - shift) % size,) for it in range(size)])
    return each(field, lambda term: viewed(term, step.outputs[0].shape))


def _product(shape: Sequence[int]) -> int:
    product = 1
    for it in shape:
        product *= it
    return product


def padded(step: Step, fields: Fields) -> Field:
    """Pixels around the last dimensions."""
    value, field, amounts = step.inputs[0], fields(step.inputs[0]), _amounts(step.arguments)
    pad = {"reflection": reflected, "replication": replicated}.get(
        step.operator.removeprefix("aten.").partition("_")[0], zeros
    )
    for place in range(len(amounts) // 2):
        dim, (before, after) = len(value.shape) - 1 - place, amounts[2 * place : 2 * place + 2]
        if before or after:
            reads = pad(value.shape[dim], before, after)
            field = taken(field, dim, reads)
    return field


def _amounts(given: Any) -> list[int]:
    amounts = given["pad"] if "pad" in given else given["padding"]
    return list(amounts)


def shuffled(step: Step, fields: Fields) -> Field:
    """Pixel (un)shuffle: channels to pixels, or back."""
    value, shape = step.inputs[0], step.outputs[0].shape
    *batch, channels, height, width = value.shape
    lead = len(batch)
    if "upscale_factor" in step.arguments:
        by = step.arguments["upscale_factor"]
        parts = (*batch, channels // by**2, by, by, height, width)
        order = [*range(lead), lead, lead + 3, lead + 1, lead + 4, lead + 2]
    else:
        by = step.arguments["downscale_factor"]
        parts = (*batch, channels, height // by, by, width // by, by)
        order = [*range(lead), lead, lead + 2, lead + 4, lead + 1, lead + 3]
    return each(fields(value), lambda term: viewed(permuted(viewed(term, parts), order), shape))


def channels_shuffled(step: Step, fields: Fields) -> Field:
    """Channels of groups taken in turn."""
    value, groups = step.inputs[0], step.arguments["groups"]
    batch, channels, *rest = value.shape
    parts = (batch, groups, channels // groups, *rest)
    order = [0, 2, 1, *range(3, len(parts))]
    return each(fields(value), lambda term: viewed(permuted(viewed(term, parts), order), value.shape))


def unfolded(step: Step, fields: Fields) -> Field:
    """`Tensor.unfold`: windows along a dimension, whose places become the last dimension."""
    value, given = step.inputs[0], step.arguments
    dim, size, stride = given["dimension"] % len(value.shape), given["size"], given["step"]
    count = step.outputs[0].shape[dim]
    reads = [(place * stride + k,) for place in range(count) for k in range(size)]
    parts = (*value.shape[:dim], count, size, *value.shape[dim + 1 :])
    order = [it for it in range(len(parts)) if it != dim + 1] + [dim + 1]
    windows = taken(fields(value), dim, reads)
    return each(windows, lambda term: permuted(viewed(term, parts), order))


def columns(step: Step, fields: Fields) -> Field:
    """`unfold`: the windows of a convolution side by side, (N, C·kh·kw, L)."""
    value, given, field = step.inputs[0], step.arguments, fields(step.inputs[0])
    batch, channels, *sizes = value.shape
    counts = []
    for axis, size in enumerate(sizes):
        kernel, stride, before, dilation = (
            given[name][axis] for name in ("kernel_size", "stride", "padding", "dilation")
        )
        counts.append((size + 2 * before - dilation * (kernel - 1) - 1) // stride + 1)
        taps = [(p * stride + k * dilation - before,) for k in range(kernel) for p in range(counts[axis])]
        field = taken(field, 2 + axis, taps)
    (kh, kw), (height, width) = given["kernel_size"], counts
    parts = (batch, channels, kh, height, kw, width)
    return each(
        field,
        lambda term: viewed(permuted(viewed(term, parts), [0, 1, 2, 4, 3, 5]), step.outputs[0].shape),
    )
