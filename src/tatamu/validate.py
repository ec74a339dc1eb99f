"""Whether arguments make a convolution. Checks on integers and strings alone: no tensor is seen.

The order of the checks is torch's, so that of two mistakes the same one is reported. Sizes may be symbolic
integers: they are compared, which puts a guard on them, but never hashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import cast

from tatamu import errors
from tatamu.geometry import PADDING_STRINGS, Convolution, Geometry, Padding, PaddingArgument, resolve_padding

TORCH_PADDING_MODES = ("zeros", "reflect", "circular", "replicate")
"""The padding modes in the order in which torch's message lists them."""

_PAIR = "an int or a pair of ints (height, width)"
_PADDING = "an int, a pair of ints (height, width), ((top, bottom), (left, right)) or one of " + ", ".join(
    map(repr, PADDING_STRINGS)
)


def layer(
    in_channels: int,
    out_channels: int,
    kernel_size: object,
    stride: object,
    padding: object,
    groups: int,
    padding_mode: object,
) -> None:
    """Check what torch checks when a layer is made; the rest is checked at its first call, as in torch.

    Raises:
        TatamuError: the first of the rules that is broken; `errors` has a class for each.
    """
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        _check_type(name, value, "an int", _is_int(value))
    _check_type("kernel_size", kernel_size, _PAIR, _is_ints(kernel_size))
    if groups <= 0:
        raise errors.GroupsError.of_layer(groups)
    if in_channels % groups:
        raise errors.ChannelsNotDivisibleError.of("in_channels", in_channels, groups)
    if out_channels % groups:
        raise errors.ChannelsNotDivisibleError.of("out_channels", out_channels, groups)
    if isinstance(padding, str):
        if padding not in PADDING_STRINGS:
            raise errors.PaddingNameError.of_layer(padding, PADDING_STRINGS)
        if padding == "same" and stride not in (1, (1,), (1, 1)):
            raise errors.StridedSameError.of(stride)
    mode(padding_mode)
    weight_size = (out_channels, in_channels // groups, *_pair("kernel_size", kernel_size))
    if min(weight_size) < 0:
        raise errors.NegativeSizeError.of(weight_size)


def mode(padding_mode: object) -> None:
    """Check the name of a padding mode.

    Raises:
        PaddingModeError: another name.
    """
    if padding_mode not in TORCH_PADDING_MODES:
        raise errors.PaddingModeError.of(padding_mode, TORCH_PADDING_MODES)


def _check_type(name: str, value: object, accepted: str, ok: bool) -> None:
    """Complain unless `ok`; `accepted` describes what the argument takes.

    Raises:
        ArgumentTypeError: with the value's type.
    """
    if not ok:
        raise errors.ArgumentTypeError.of(name, value, accepted)


def arguments(stride: object, padding: object, dilation: object, groups: object) -> None:
    """Check the types of a convolution's arguments.

    Raises:
        ArgumentTypeError: the first that is of another type.
    """
    for name, value in (("stride", stride), ("dilation", dilation)):
        _check_type(name, value, _PAIR, _is_ints(value))
    _check_type(
        "padding", padding, _PADDING, isinstance(padding, str) or _is_ints(padding) or _is_sides(padding)
    )
    _check_type("groups", groups, "an int", _is_int(groups))


def resolve(
    input_size: Sequence[int],
    weight_size: Sequence[int],
    bias_size: Sequence[int] | None,
    stride: object,
    padding: object,
    dilation: object,
    groups: object,
    padding_mode: str,
) -> Convolution:
    """The convolution that conv2d's arguments stand for.

    Args:
        input_size: (N, C, H, W), or (C, H, W) if unbatched.
        weight_size: (O, C / groups, kh, kw).
        bias_size: (O,), or None without a bias.

    Raises:
        TatamuError: the first of the rules that is broken; `errors` has a class for each.
    """
    arguments(stride, padding, dilation, groups)
    mode(padding_mode)
    if len(input_size) not in (3, 4):
        # torch pads before it looks at the convolution, and padding has its own class; with 1-D it has not
        # got that far.
        if padding_mode != "zeros" and len(input_size) != 1:
            raise errors.PaddedInputDimensionsError.of(input_size, padding_mode)
        raise errors.InputDimensionsError.of(input_size)
    if len(weight_size) != 4:
        raise errors.WeightDimensionsError.of(weight_size, input_size, padding)
    convolution = Convolution(
        strides := _pair("stride", stride),
        _padding(padding, strides, dilations := _pair("dilation", dilation), input_size, weight_size),
        dilations,
        _int(groups),
        padding_mode,
    )
    _check_arguments(convolution, padding)
    _check_sizes(input_size, weight_size, bias_size, convolution.groups)
    _check_fit(input_size, weight_size, convolution)
    return convolution


def _is_int(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool)
    if _is_symbolic(value):
        return True
    try:
        index(value)  # type: ignore[arg-type]  # Whether it can be an int is the question.
    except TypeError:
        return False
    return True


def _is_ints(value: object) -> bool:
    return all(map(_is_int, value)) if isinstance(value, tuple | list) else _is_int(value)


def _is_sides(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(side, tuple | list) and len(side) == 2 and _is_ints(side) for side in value)
    )


def _is_symbolic(value: object) -> bool:
    """A symbolic integer of torch's is no int, and converting it to one would fix its value."""
    return type(value).__name__ == "SymInt"


def _int(value: object) -> int:
    if type(value) is int or _is_symbolic(value):
        return cast("int", value)
    return index(value)  # type: ignore[arg-type]  # `_is_int` has seen it.


def _pair(name: str, value: object) -> tuple[int, int]:
    if not isinstance(value, tuple | list):
        return _int(value), _int(value)
    if len(value) not in (1, 2):
        raise errors.ArgumentLengthError.of(name, value, _PADDING if name == "padding" else _PAIR)
    return _int(value[0]), _int(value[-1])


def _padding(
    padding: object,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    input_size: Sequence[int],
    weight_size: Sequence[int],
) -> Padding:
    argument: PaddingArgument
    if isinstance(padding, str):
        if padding not in PADDING_STRINGS:
            raise errors.PaddingNameError.of_function(padding, PADDING_STRINGS)
        if padding == "same" and stride != (1, 1):
            raise errors.StridedSameError.of(stride)
        if min(stride) <= 0:
            raise errors.StrideError.of(stride)
        argument = padding
    elif _is_sides(padding):
        (top, bottom), (left, right) = cast("Sequence[Sequence[int]]", padding)
        argument = ((_int(top), _int(bottom)), (_int(left), _int(right)))
    else:
        argument = _pair("padding", padding)
    kernel, size = (weight_size[2], weight_size[3]), (input_size[-2], input_size[-1])
    return resolve_padding(argument, kernel, stride, dilation, size)


def _check_arguments(convolution: Convolution, padding: object) -> None:
    # A string's amounts are right by construction, and with a wrong kernel or dilation those are to blame.
    if not isinstance(padding, str) and min(map(min, convolution.padding)) < 0:
        raise errors.NegativePaddingError.of(padding)
    if min(convolution.stride) <= 0:
        raise errors.StrideError.of(convolution.stride)
    if min(convolution.dilation) <= 0:
        raise errors.DilationError.of(convolution.dilation)
    if convolution.groups <= 0:
        raise errors.GroupsError.of_function(convolution.groups)


def _check_sizes(
    input_size: Sequence[int], weight_size: Sequence[int], bias_size: Sequence[int] | None, groups: int
) -> None:
    if min(weight_size[2:]) <= 0:
        raise errors.KernelSizeError.of(weight_size[2:])
    if weight_size[0] < groups:
        raise errors.NoOutputChannelsError.of(weight_size, groups)
    if weight_size[0] % groups:
        raise errors.WeightGroupsError.of(weight_size, groups)
    if input_size[-3] != weight_size[1] * groups:
        raise errors.InputChannelsError.of(input_size, weight_size, groups)
    if bias_size is not None and (len(bias_size) != 1 or bias_size[0] != weight_size[0]):
        raise errors.BiasShapeError.of(weight_size, bias_size)


def _check_fit(input_size: Sequence[int], weight_size: Sequence[int], convolution: Convolution) -> None:
    size, reads = input_size[-2:], convolution.padding_mode
    if reads in ("reflect", "replicate") and min(size) <= 0:
        raise errors.EmptyInputError.of_padded(input_size)
    for axis, amounts in enumerate(convolution.padding):
        if reads == "reflect" and max(amounts) >= size[axis]:
            raise errors.ReflectPaddingError.of(axis, amounts, input_size)
        if reads == "circular" and max(amounts) > size[axis]:
            raise errors.CircularPaddingError.of(axis, amounts, input_size)
    o, c, kh, kw = weight_size
    geometry = Geometry.of((1, c, size[0], size[1]), (o, c, kh, kw), convolution)
    axes = geometry.rows, geometry.columns
    if any(axis.padded < axis.effective_kernel for axis in axes):
        raise errors.KernelTooLargeError.of([axis.padded for axis in axes], geometry.effective_kernel)
    if min(size) <= 0:
        raise errors.EmptyInputError.of(input_size)
