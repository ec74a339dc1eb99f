"""Height and width behind a layer, from its arguments; and which arguments give other ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn import Module

from tatamu.geometry import Axis, resolve_padding
from tatamu.tracing import layers

Extent = tuple[int, ...]
"""Sizes of the spatial axes, such as (height, width)."""

VALUES: dict[str, tuple[Any, ...]] = {
    "padding": (1, 0, 2, 3, 4, 5, 6, 8, 12, 18),
    "output_padding": (1, 0, 2, 3),
    "stride": (1, 2, 4, 3, 8, 16),
    "kernel_size": (3, 1, 2, 5, 4, 7, 6, 8, 9, 11, 16),
    "dilation": (1, 2, 3, 4, 6),
    "ceil_mode": (True, False),
    "scale_factor": (2, 4, 1, 8, 3, 0.5),
    "upscale_factor": (2, 4, 3),
    "downscale_factor": (2, 4, 3),
}
"""The values that are tried, the commonest first."""


def extent(layer: Module, given: Mapping[str, Any], size: Extent) -> Extent | None:
    """What comes out of a layer with these arguments for an image of `size`; None where nothing can."""
    if isinstance(layer, layers.UPSAMPLINGS) and given["size"] is not None:
        return _spread(given["size"], len(size))
    if isinstance(layer, layers.PADDINGS) and len(size) != 2:
        return None
    found = [_one_axis(layer, given, size, axis) for axis in range(len(size))]
    return None if min(found, default=0) <= 0 else tuple(found)


def _one_axis(layer: Module, given: Mapping[str, Any], size: Extent, axis: int) -> int:
    """Zero where the kernel finds no room, or torch refuses the arguments."""
    if isinstance(layer, layers.CONVOLUTIONS + layers.TRANSPOSED + layers.POOLINGS):
        return _windows(layer, given, size, axis)
    now = size[axis]
    if isinstance(layer, layers.UPSAMPLINGS):
        return int(now * _spread(given["scale_factor"], len(size))[axis])
    if isinstance(layer, nn.PixelShuffle):
        return int(now * given["upscale_factor"])
    if isinstance(layer, nn.PixelUnshuffle):
        quotient, rest = divmod(now, given["downscale_factor"])
        return 0 if rest else int(quotient)
    # (left, right, top, bottom), for (height, width).
    return now + sum(int(it) for it in _spread(given["padding"], 4)[2 - 2 * axis : 4 - 2 * axis])


def _windows(layer: Module, given: Mapping[str, Any], size: Extent, axis: int) -> int:
    """The same of a layer that has a kernel."""
    count = len(size)
    kernel, stride = (_spread(given[name], count)[axis] for name in ("kernel_size", "stride"))
    dilation = _spread(given.get("dilation", 1), count)[axis]
    if min(kernel, stride, dilation) < 1:
        return 0
    before, after = _sides(given["padding"], kernel, stride, dilation, size, axis)
    here = Axis(size[axis], kernel, stride, dilation, before, after)
    if isinstance(layer, layers.TRANSPOSED):
        more = _spread(given["output_padding"], count)[axis]
        grown = (size[axis] - 1) * stride - before - after + here.effective_kernel + more
        return int(grown) if more < max(stride, dilation) and before >= 0 else 0
    if not _fits(here, layer, given):
        return 0
    if given.get("ceil_mode"):
        outputs = -(-(here.padded - here.effective_kernel) // stride) + 1
        # The last window begins inside the image or its padding before.
        return int(outputs - ((outputs - 1) * stride >= size[axis] + before))
    return here.output


def _fits(axis: Axis, layer: Module, given: Mapping[str, Any]) -> bool:
    """Whether torch takes this much padding; where the kernel finds no room, there are no outputs."""
    reach, mode = max(axis.before, axis.after), given.get("padding_mode", "zeros")
    if isinstance(layer, layers.POOLINGS):
        most = axis.kernel // 2
    else:
        most = {"reflect": axis.size - 1, "circular": axis.size}.get(mode, reach)
    return min(axis.before, axis.after) >= 0 and reach <= most


def _sides(padding: Any, kernel: int, stride: int, dilation: int, size: Extent, axis: int) -> tuple[int, int]:
    if isinstance(padding, str):
        square = (size[axis],) * 2
        return resolve_padding(padding, (kernel,) * 2, (stride,) * 2, (dilation,) * 2, square)[0]
    amount = _spread(padding, len(size))[axis]
    return amount if isinstance(amount, tuple) else (amount, amount)


def _spread(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple) and len(value) == count else (value,) * count


def variants(layer: Module, size: Extent) -> Iterator[tuple[str, layers.Value, Extent, int]]:
    """Single arguments that give another extent of a layer's output.

    Args:
        size: of the image that it is given.

    Yields:
        (argument, value, extent of the output, cost): costs order them, 0 is what one would think of first.
    """
    given = layers.arguments(layer)
    if not isinstance(layer, layers.SPATIAL) or not given:
        return
    now = extent(layer, given, size)
    for argument, values in VALUES.items():
        if given.get(argument) is None:
            continue
        for rank, value in enumerate(_tried(layer, given, argument, values, size)):
            if value != given[argument]:
                new = extent(layer, given | {argument: value}, size)
                if new is not None and new != now:
                    yield argument, value, new, _cost(layer, argument, rank, given)


def _tried(
    layer: Module, given: Mapping[str, Any], argument: str, values: tuple[Any, ...], size: Extent
) -> list[Any]:
    kernel = given.get("kernel_size")
    if argument == "padding" and isinstance(kernel, int) and not isinstance(layer, layers.PADDINGS):
        # More than half of the kernel would be outputs of padding alone.
        reach = given.get("dilation", 1) * (kernel - 1)
        same = reach // 2
        most = reach if isinstance(layer, layers.TRANSPOSED) else (reach + 1) // 2
        return [same, *(it for it in values if it <= most and it != same)]
    if argument == "kernel_size" and isinstance(layer, layers.POOLINGS) and len(set(size)) == 1:
        return [size[0], *(it for it in values if it not in (1, size[0]))]
    return list(values)


def _cost(layer: Module, argument: str, rank: int, given: Mapping[str, Any]) -> int:
    pooling = isinstance(layer, layers.POOLINGS)
    costs = {
        "padding": 4 if pooling else 0,
        "output_padding": 0,
        "scale_factor": 0,
        "stride": 1,
        "dilation": 5,
    }
    kernel = given.get("kernel_size")
    even = argument == "padding" and isinstance(kernel, int) and kernel % 2 == 0
    return costs.get(argument, 1 if pooling and argument == "kernel_size" else 3) + rank + 2 * even


def solved(layer: Module, size: Extent, wanted: Extent) -> Iterator[tuple[str, layers.Value, int]]:
    """Single arguments of a layer that give the extent that is wanted, also such as differ between the axes.

    Yields:
        (argument, value, cost), the plainest first.
    """
    plain = sorted(
        ((argument, value, cost) for argument, value, new, cost in variants(layer, size) if new == wanted),
        key=lambda it: it[2],
    )
    yield from plain
    given = layers.arguments(layer)
    if plain or len(size) != 2 or isinstance(layer, layers.PADDINGS + layers.SHUFFLES):
        return
    for argument in ("padding", "output_padding", "stride", "kernel_size", "dilation"):
        if isinstance(given.get(argument), str) or given.get(argument) is None:
            continue
        now = _spread(given[argument], 2)
        pairs = [
            (row, column)
            for row in {now[0], *_tried(layer, given, argument, VALUES[argument], size)}
            for column in {now[1], *_tried(layer, given, argument, VALUES[argument], size)}
        ]
        fitting = [it for it in pairs if extent(layer, given | {argument: it}, size) == wanted]
        if fitting:
            # The one that leaves most as it is.
            yield argument, min(fitting, key=lambda it: ((it[0] != now[0]) + (it[1] != now[1]), it)), 6
