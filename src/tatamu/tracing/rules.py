"""Which rule of sizes a failure breaks, in one sentence with the numbers in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod
from typing import Any

from torch import nn

from tatamu.errors import TatamuError
from tatamu.tracing import layers
from tatamu.tracing.meeting import Meeting, apart
from tatamu.tracing.steps import Value

_AXES = ("batch", "channels", "height", "width")
_JOINING = ("cat", "concat", "concatenate")
_COUNTING = ("view", "reshape", "unflatten")
_PRODUCTS = ("matmul", "bmm", "mm", "__matmul__", "scaled_dot_product_attention", "baddbmm", "einsum")


def rule(meeting: Meeting) -> str:
    """What must hold where the model failed, and does not; where it is none of these, what torch said."""
    found = _of_layer(meeting) if meeting.inner else _of_function(meeting)
    return found or _said(meeting)


def times(shape: Sequence[int]) -> str:
    """A size as it is written here: 1×3×224×224."""
    return "×".join(map(str, shape)) or "a single number"


def article(name: str) -> str:
    """The name with 'a' or 'an' before it."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _many(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def _said(meeting: Meeting) -> str:
    error = meeting.failure.error
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return str(error) if isinstance(error, TatamuError) else lines[0].rstrip(".")


def _of_layer(meeting: Meeting) -> str | None:
    layer, x = meeting.layer, meeting.entering
    if x is None:
        return None
    if isinstance(layer, nn.Linear):
        return _of_linear(meeting, x)
    if isinstance(layer, layers.CONVOLUTIONS + layers.TRANSPOSED):
        return _of_convolution(meeting, x)
    if isinstance(layer, layers.POOLINGS):
        return _of_pooling(type(layer).__name__, layers.arguments(layer), x)
    if isinstance(layer, nn.PixelShuffle) and len(x.shape) >= 3:
        return (
            f"a PixelShuffle with upscale_factor={layer.upscale_factor} takes a multiple of "
            f"{layer.upscale_factor**2} channels; it was given {x.shape[-3]}, as {times(x.shape)}"
        )
    return _of_normalisation(meeting, x)


def _of_normalisation(meeting: Meeting, x: Value) -> str | None:
    """Of what has numbers for each channel, a PReLU among them."""
    layer, needs = meeting.layer, meeting.needs()
    name, given = article(type(layer).__name__), layers.arguments(layer)
    if isinstance(layer, nn.LayerNorm):
        wanted = times(layer.normalized_shape)
        return f"{name} with normalized_shape={wanted} takes that as last axes; it was given {times(x.shape)}"
    if needs is not None and needs[0] != needs[1]:
        word = next(it for it in ("num_parameters", "num_channels", "num_features") if it in given)
        takes = f"{word}={needs[0]} takes {_many(needs[0], 'channel')}"
        return f"{name} with {takes}; it was given {needs[1]}, as {times(x.shape)}"
    if "num_groups" in given and len(x.shape) > 1:
        groups = f"num_groups={given['num_groups']} takes a multiple of {given['num_groups']} channels"
        return f"{name} with {groups}; it was given {x.shape[1]}, as {times(x.shape)}"
    return None


def _of_linear(meeting: Meeting, x: Value) -> str | None:
    needs = meeting.needs()
    if needs is None or needs[0] == needs[1]:
        return None
    wanted, got = needs
    takes = f"in_features={wanted} takes {_many(wanted, 'number')} along the last axis"
    text = f"a Linear with {takes}; it was given {got}"
    if len(x.shape) > 2 and prod(x.shape[1:]) == wanted:
        return f"{text}, as {times(x.shape)}: these are {wanted} numbers before they are flattened"
    image = _flattened_from(meeting, x)
    return f"{text}, flattened from {times(image)}" if image else f"{text}, as {times(x.shape)}"


def _flattened_from(meeting: Meeting, x: Value) -> tuple[int, ...] | None:
    """(C, H, W) of the images that a vector was before."""
    while x.source is not None:
        step = meeting.walk.steps[x.source]
        before = [it for it in step.inputs if not it.is_parameter]
        if not step.keeps or not before:
            return None
        if len(before[0].shape) == 4 and prod(before[0].shape[1:]) == x.shape[-1]:
            return before[0].shape[1:]
        x = before[0]
    return None


def _of_convolution(meeting: Meeting, x: Value) -> str | None:
    name, needs = type(meeting.layer).__name__, meeting.needs()
    if needs is None:
        axes = "(N, C, H, W) or (C, H, W)" if "2d" in name else "an axis of channels in front of the image"
        return f"{article(name)} takes {axes}; it was given {times(x.shape)}"
    wanted, got = needs
    if wanted == got:
        return _of_room(name, layers.arguments(meeting.layer), x)
    takes = f"in_channels={wanted} takes {_many(wanted, 'channel')}"
    text = f"{article(name)} with {takes}; it was given {got}, as {times(x.shape)}"
    last = x.source is None and x.shape[-1] == wanted
    return f"{text}: the channels seem to be last, and torch has them before the height" if last else text


def _of_room(name: str, given: Mapping[str, Any], x: Value) -> str | None:
    """Of a kernel or its padding that do not fit an image; None where the arguments themselves are wrong."""
    kernel, padding, mode = given["kernel_size"], given["padding"], given["padding_mode"]
    amounts = padding if isinstance(padding, tuple) else (padding,)
    if any(isinstance(it, int) and it < 0 for it in amounts):
        return None
    if mode == "reflect":
        limit = "padding_mode='reflect' pads with at most one pixel less than there are"
        return f"{limit}; padding={padding!r} was given {times(x.shape)}"
    return (
        f"the kernel of {article(name)} must not be larger than the padded image; kernel_size={kernel} with "
        f"padding={padding!r} and dilation={given['dilation']} was given {times(x.shape)}"
    )


def _of_pooling(name: str, given: Mapping[str, Any], x: Value) -> str:
    kernel, padding = given["kernel_size"], given["padding"]
    if isinstance(kernel, int) and isinstance(padding, int) and padding > kernel // 2:
        return (
            f"the padding of {article(name)} is at most half of its kernel; it has padding={padding} and "
            f"kernel_size={kernel}"
        )
    return (
        f"the kernel of {article(name)} must not be larger than the padded image; kernel_size={kernel} with "
        f"padding={padding} was given {times(x.shape)}"
    )


def _of_function(meeting: Meeting) -> str | None:
    function, given = meeting.failure.function, [it.shape for it in meeting.failure.values]
    if function in _JOINING:
        axis = meeting.failure.arguments.get("dim", 0)
        return _of_joining(given, axis if isinstance(axis, int) else 0)
    if function in _COUNTING and given:
        wanted = next((it for it in meeting.failure.arguments.values() if isinstance(it, list | tuple)), None)
        asked = (
            f", and {times(wanted)} was asked for"
            if wanted and all(isinstance(it, int) for it in wanted)
            else ""
        )
        return f"a view has as many elements as what it views: {times(given[0])} has {prod(given[0])}{asked}"
    if function in _PRODUCTS and len(given) >= 2:
        return f"the last axis of one matrix meets the last but one of the other; {_and(given)} met"
    differing = next((pair for pair in combinations(given, 2) if apart(*pair)), None)
    if len(given) >= 2 and differing is not None:
        return f"sizes must agree, or be 1, for {_doing(function)}: {_named(*differing)}"
    return None


def _of_joining(given: list[tuple[int, ...]], axis: int) -> str | None:
    if len({len(it) for it in given}) != 1:
        return f"what is concatenated has equally many axes; {_and(given)} met"
    along = axis % len(given[0]) if given[0] else 0
    cut = [tuple(1 if place == along else size for place, size in enumerate(it)) for it in given]
    differing = next((pair for pair in combinations(cut, 2) if apart(*pair)), None)
    if differing is None:
        return None
    name = _AXES[along] if len(given[0]) == 4 else f"axis {along}"
    return f"what is concatenated along {name} must agree in all other axes: {_named(*differing)}"


def _named(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    count = max(len(one), len(other))
    names = _AXES if count == 4 else tuple(f"axis {it}" for it in range(count))
    return ", ".join(f"{names[it]} {one[it]} against {other[it]}" for it in apart(one, other))


def _doing(function: str) -> str:
    words = {"add": "an addition", "sub": "a subtraction", "mul": "a multiplication", "div": "a division"}
    return words.get(function, function or "this operation")


def _and(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(map(times, shapes))
