"""The table of mistakes, as data: how to make each, in torch and in tatamu, and what is then said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as torch_functional

import tatamu
from tatamu import errors


class Torch:
    Conv2d, conv2d = torch.nn.Conv2d, staticmethod(torch_functional.conv2d)


class Tatamu:
    Conv2d, conv2d = tatamu.Conv2d, staticmethod(tatamu.conv2d)


@dataclass
class Mistake:
    row: int  # Of the table of mistakes; 0 for what it leaves to the dtypes' paragraph.
    make: Callable[[Any], object]
    kind: type[errors.TatamuError]
    advice: str  # What our sentence adds.
    phrase: str | None = None  # torch's words; its whole sentence if None.


def tensor(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.ones(size).to(dtype)


def x(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return tensor(*(size or (1, 4, 5, 6)), dtype=dtype)


def w(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return tensor(*(size or (8, 4, 3, 3)), dtype=dtype)


INVALID = "conv2d() received an invalid combination of arguments - got"
NOT_IMPLEMENTED = '"slow_conv2d_cpu" not implemented for'
MISTAKES = [
    Mistake(1, lambda t: t.Conv2d(4, 8, 3, groups=0), errors.GroupsError, "groups=0"),
    Mistake(1, lambda t: t.Conv2d(4, 8, 3, groups=-2), errors.GroupsError, "groups=-2"),
    Mistake(
        2, lambda t: t.Conv2d(6, 8, 3, groups=4), errors.ChannelsNotDivisibleError, "groups can be 1, 2, 3, 6"
    ),
    Mistake(
        2,
        lambda t: t.Conv2d(4, 9, 3, groups=2),
        errors.ChannelsNotDivisibleError,
        "out_channels=9 and groups=2",
    ),
    Mistake(
        3,
        lambda t: t.Conv2d(4, 8, 3, padding="SAME"),
        errors.PaddingNameError,
        "did you mean 'same'?",
        "Invalid padding string 'SAME', should be one of",
    ),
    Mistake(
        3, lambda t: t.conv2d(x(), w(), padding="vaild"), errors.PaddingNameError, "did you mean 'valid'?"
    ),
    Mistake(
        4, lambda t: t.Conv2d(4, 8, 3, stride=2, padding="same"), errors.StridedSameError, "'same_upper'"
    ),
    Mistake(
        4,
        lambda t: t.conv2d(x(), w(), stride=(1, 2), padding="same"),
        errors.StridedSameError,
        "'same_lower'",
    ),
    Mistake(
        5,
        lambda t: t.Conv2d(4, 8, 3, padding_mode="zero"),
        errors.PaddingModeError,
        "did you mean 'zeros'?",
        "but got padding_mode='zero'",
    ),
    Mistake(
        5,
        lambda t: t.Conv2d(4, 8, 3, padding_mode=None),
        errors.PaddingModeError,
        "one of {'zeros', 'reflect'",
        "but got padding_mode='None'",
    ),
    Mistake(6, lambda t: t.conv2d(x(1, 3, 6, 5), w()), errors.InputChannelsError, "dimension 1 of the input"),
    Mistake(
        6,
        lambda t: t.conv2d(x(1, 5, 6, 4), w()),
        errors.InputChannelsError,
        "NHWC, pass input.permute(0, 3, 1, 2)",
    ),
    Mistake(
        6,
        lambda t: t.conv2d(x(5, 6, 4), w()),
        errors.InputChannelsError,
        "HWC, pass input.permute(2, 0, 1)",
        "to have 4 channels, but got",
    ),
    Mistake(
        6, lambda t: t.Conv2d(4, 8, 3, groups=2)(x(1, 6, 5, 5)), errors.InputChannelsError, "Conv2d(4, 8"
    ),
    Mistake(
        7, lambda t: t.conv2d(x(5, 6), w()), errors.InputDimensionsError, "pass (N, C, H, W) or (C, H, W)"
    ),
    Mistake(
        7, lambda t: t.conv2d(x(1, 1, 4, 5, 6), w()), errors.InputDimensionsError, "pass (N, C, H, W) or"
    ),
    Mistake(
        7,
        lambda t: t.conv2d(x(), w(8, 4, 3)),
        errors.WeightDimensionsError,
        "takes four",
        "expected stride to be a single integer value or a list of 1 values",
    ),
    Mistake(7, lambda t: t.conv2d(x(), w(8, 4)), errors.WeightDimensionsError, "takes four"),
    Mistake(
        7,
        lambda t: t.conv2d(x(), w(8, 4, 3), padding="same"),
        errors.WeightDimensionsError,
        "takes four",
        "Expected 3-dimensional input for 3-dimensional weight[8, 4, 3], but got",
    ),
    Mistake(
        8,
        lambda t: t.conv2d(x(1, 4, 2, 5), w()),
        errors.KernelTooLargeError,
        "1 more rows and 0 more columns",
    ),
    Mistake(8, lambda t: t.conv2d(x(), w(), dilation=(1, 9)), errors.KernelTooLargeError, "13 more columns"),
    Mistake(
        8,
        lambda t: t.Conv2d(4, 8, 7, padding=1, padding_mode="reflect")(x(1, 4, 4, 9)),
        errors.KernelTooLargeError,
        "1 more rows",
    ),
    Mistake(9, lambda t: t.conv2d(x(), w(), stride=(1, 0)), errors.StrideError, "stride=(1, 0)"),
    Mistake(10, lambda t: t.conv2d(x(), w(), padding=-1), errors.NegativePaddingError, "padding=-1"),
    Mistake(
        10, lambda t: t.Conv2d(4, 8, 3, padding=(0, -1))(x()), errors.NegativePaddingError, "slice the input"
    ),
    Mistake(11, lambda t: t.conv2d(x(), w(), dilation=0), errors.DilationError, "1 means"),
    Mistake(
        11,
        lambda t: t.conv2d(x(), w(), dilation=(1, -1)),
        errors.DilationError,
        "[1, -1]",
        "dilation should be greater than zero",
    ),
    Mistake(12, lambda t: t.conv2d(x(), w(), groups=0), errors.GroupsError, "groups=0"),
    Mistake(13, lambda t: t.conv2d(x(), w(8, 4, 0, 3)), errors.KernelSizeError, "1 x 1"),
    Mistake(13, lambda t: t.Conv2d(4, 8, (3, 0))(x()), errors.KernelSizeError, "1 x 1"),
    Mistake(14, lambda t: t.Conv2d(-4, 8, 3), errors.NegativeSizeError, "are counts"),
    Mistake(14, lambda t: t.Conv2d(4, 8, -1), errors.NegativeSizeError, "are counts"),
    Mistake(
        15,
        lambda t: t.conv2d(x(), w(), padding=(1, 1, 1)),
        errors.ArgumentLengthError,
        "((top, bottom), (left, right))",
    ),
    Mistake(15, lambda t: t.conv2d(x(), w(), stride=()), errors.ArgumentLengthError, "pass an int or a pair"),
    Mistake(
        15,
        lambda t: t.Conv2d(4, 8, 3, dilation=(1, 1, 1))(x()),
        errors.ArgumentLengthError,
        "(height, width)",
    ),
    Mistake(
        16,
        lambda t: t.conv2d(x(dtype=torch.float64), w()),
        errors.DtypeMismatchError,
        "input.to(weight.dtype)",
    ),
    Mistake(
        16,
        lambda t: t.conv2d(x(), w(dtype=torch.complex64)),
        errors.DtypeMismatchError,
        "CPUComplexFloatType",
    ),
    Mistake(
        16,
        lambda t: t.conv2d(x(dtype=torch.complex64), w()),
        errors.DtypeMismatchError,
        "input.to(weight.dtype)",
    ),
    Mistake(
        16,
        lambda t: t.conv2d(x(dtype=torch.bfloat16), w()),
        errors.DtypeMismatchError,
        "input.to(weight.dtype)",
        "Input type (CPUBFloat16Type) and weight type (torch.FloatTensor) should be the same",
    ),
    Mistake(
        16,
        lambda t: t.conv2d(x(), w(), tensor(8, dtype=torch.float64)),
        errors.DtypeMismatchError,
        "bias.to(",
    ),
    Mistake(
        17,
        lambda t: t.conv2d(x(), w(), tensor(7)),
        errors.BiasShapeError,
        "one value for each output channel",
    ),
    Mistake(17, lambda t: t.conv2d(x(), w(), tensor(8, 1)), errors.BiasShapeError, "one value for each"),
    Mistake(18, lambda t: t.conv2d(x(), w(9, 2, 3, 3), groups=2), errors.WeightGroupsError, "equally many"),
    Mistake(19, lambda t: t.conv2d(x(), w(0, 4, 3, 3)), errors.NoOutputChannelsError, "at least one"),
    Mistake(
        19, lambda t: t.conv2d(x(), w(1, 2, 3, 3), groups=2), errors.NoOutputChannelsError, "at least one"
    ),
    Mistake(
        20,
        lambda t: t.Conv2d(4, 8, 3, padding=5, padding_mode="reflect")(x()),
        errors.ReflectPaddingError,
        "reaches 4",
    ),
    Mistake(
        20,
        lambda t: t.Conv2d(4, 8, 3, padding=(0, 6), padding_mode="reflect")(x(4, 5, 6)),
        errors.ReflectPaddingError,
        "reaches 5",
    ),
    Mistake(
        21,
        lambda t: t.Conv2d(4, 8, 3, padding=(0, 7), padding_mode="circular")(x()),
        errors.CircularPaddingError,
        "reaches 6",
    ),
    Mistake(22, lambda t: t.conv2d(x(1, 4, 0, 5), w(), padding=2), errors.EmptyInputError, "at least 1"),
    Mistake(22, lambda t: t.conv2d(x(1, 4, 5, 0), w()), errors.KernelTooLargeError, "3 more columns"),
    Mistake(
        22,
        lambda t: t.Conv2d(4, 8, 3, padding=1, padding_mode="replicate")(x(1, 4, 0, 5)),
        errors.EmptyInputError,
        "at least 1",
    ),
    Mistake(
        23,
        lambda t: t.Conv2d(4, 8, 3, padding=1, padding_mode="circular")(x(1, 1, 4, 5, 6)),
        errors.PaddedInputDimensionsError,
        "pass (N, C, H, W)",
        "Padding size 4 is not supported for 5D input tensor",
    ),
    Mistake(24, lambda t: t.conv2d("image", w()), errors.ArgumentTypeError, "input is a Tensor", INVALID),
    Mistake(24, lambda t: t.conv2d(x().numpy(), w()), errors.ArgumentTypeError, "input=ndarray", INVALID),
    Mistake(
        24, lambda t: t.conv2d(x(), w(), 1), errors.ArgumentTypeError, "bias is a Tensor or None", INVALID
    ),
    Mistake(
        24,
        lambda t: t.conv2d(x(), w(), stride=1.0),
        errors.ArgumentTypeError,
        "got stride=float 1.0",
        INVALID,
    ),
    Mistake(
        24,
        lambda t: t.conv2d(x(), w(), stride=True),
        errors.ArgumentTypeError,
        "got stride=bool True",
        INVALID,
    ),
    Mistake(
        24,
        lambda t: t.conv2d(x(), w(), padding=(1.0, 1)),
        errors.ArgumentTypeError,
        "padding is an int",
        INVALID,
    ),
    Mistake(
        24,
        lambda t: t.conv2d(x(), w(), dilation=None),
        errors.ArgumentTypeError,
        "got dilation=NoneType",
        INVALID,
    ),
    Mistake(
        24, lambda t: t.conv2d(x(), w(), groups=(1,)), errors.ArgumentTypeError, "groups is an int", INVALID
    ),
    Mistake(24, lambda t: t.Conv2d(4.0, 8, 3), errors.ArgumentTypeError, "in_channels is an int", ""),
    Mistake(
        24, lambda t: t.Conv2d(4, 8, "3"), errors.ArgumentTypeError, "kernel_size is an int or a pair", ""
    ),
    Mistake(24, lambda t: t.Conv2d(4, 8, 3)(None), errors.ArgumentTypeError, "input=NoneType", INVALID),
    Mistake(
        0,
        lambda t: t.conv2d(x(dtype=torch.bool), w(dtype=torch.bool)),
        errors.UnsupportedDtypeError,
        "conv2d takes float16",
        f"{NOT_IMPLEMENTED} 'Bool'",
    ),
    Mistake(
        0,
        lambda t: t.conv2d(x(dtype=torch.uint16), w(dtype=torch.uint16)),
        errors.UnsupportedDtypeError,
        "conv2d takes float16",
        f"{NOT_IMPLEMENTED} 'UInt16'",
    ),
    Mistake(
        0,
        lambda t: t.conv2d(x(dtype=torch.float8_e5m2), w(dtype=torch.float8_e5m2)),
        errors.UnsupportedDtypeError,
        "conv2d takes float16",
        f"{NOT_IMPLEMENTED} 'Float8_e5m2'",
    ),
    Mistake(
        25,
        lambda t: t.conv2d(x().to_sparse(), w()),
        errors.LayoutError,
        "input.to_dense()",
        "unsupported memory format option",
    ),
]
