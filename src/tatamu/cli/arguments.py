"""Conv2d's arguments and image sizes on the command line, for every command that takes them.

A command that is decorated with `convolution_options` gets them as one argument, `arguments`, and asks it for
the `Geometry`: what is impossible is then said in the sentence that the layer itself would raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar

import click

from tatamu import validate
from tatamu.geometry import PADDING_MODES, PADDING_STRINGS, Geometry, PaddingArgument

Pair = int | tuple[int, int]
"""One number for both axes, or (height, width)."""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_BETWEEN = re.compile(r"\s*[xX×]\s*")
_SIDES = re.compile(r"\s*[:,]\s*")


class _Sizes(click.ParamType):  # type: ignore[type-arg]  # Older releases of click do not take one.
    """Integers with an x between them."""

    def __init__(self, name: str, counts: Sequence[int], example: str) -> None:
        self.name = name
        self._counts = counts
        self._example = example

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):  # click converts a default that it has converted before.
            return value
        numbers = _integers(_BETWEEN, value)
        if len(numbers) not in self._counts:
            self.fail(f"{value!r} is not {self.name}, such as {self._example}", param, ctx)
        return numbers


class _Pair(_Sizes):
    """One integer for both axes, or two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        numbers = super().convert(value, param, ctx)
        return numbers[0] if len(numbers) == 1 else numbers


class _PaddingType(click.ParamType):  # type: ignore[type-arg]  # Older releases of click do not take one.
    name = "padding"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> PaddingArgument:
        if not isinstance(value, str):
            converted: PaddingArgument = value
            return converted
        if value.strip().replace("_", "").isalpha():
            return value  # A name that there is not is the layer's to refuse: it knows which is near.
        axes = [_integers(_SIDES, part) for part in _BETWEEN.split(value.strip())]
        if len(axes) not in (1, 2) or not all(len(axis) in (1, 2) for axis in axes):
            names = ", ".join(PADDING_STRINGS)
            sides = "HEIGHTxWIDTH, TOP:BOTTOMxLEFT:RIGHT"
            self.fail(f"{value!r} is not a padding: a number, {sides} or one of {names}", param, ctx)
        rows, columns = axes[0], axes[-1]
        if len(rows) == len(columns) == 1:
            return rows[0] if len(axes) == 1 else (rows[0], columns[0])
        return (rows[0], rows[-1]), (columns[0], columns[-1])


def _integers(between: re.Pattern[str], text: str) -> tuple[int, ...]:
    """The integers of a text; none where one of its parts is something else."""
    try:
        return tuple(int(part) for part in between.split(text.strip()))
    except ValueError:
        return ()


PAIR = _Pair("a number or HEIGHTxWIDTH", (1, 2), "3 or 3x5")
"""What has one number for each axis: an int for both, or (height, width)."""
IMAGE = _Sizes("a size CxHxW or NxCxHxW", (3, 4), "3x224x224")
"""An input: (C, H, W) or (N, C, H, W)."""
PADDING = _PaddingType()
"""What `Conv2d` takes as its padding."""


@dataclass(frozen=True)
class ConvolutionArguments:
    """Conv2d's arguments as the command line has them; None where an option was not given."""

    out_channels: int | None
    kernel_size: Pair | None
    stride: Pair | None
    padding: PaddingArgument | None
    dilation: Pair | None
    groups: int
    bias: bool
    padding_mode: str

    def geometry(self, input_size: Sequence[int], out_channels: int = 1) -> Geometry:
        """The sizes of the layer on an input (C, H, W) or (N, C, H, W); one image where N is not said.

        Args:
            out_channels: of the layer where the command line does not say.

        Raises:
            TatamuError: what the layer would raise, when it is made or when it is called.
            UsageError: no kernel size.
        """
        if self.kernel_size is None:
            raise click.UsageError("Missing option '-k' / '--kernel-size'")
        in_channels = input_size[-3]
        outputs = out_channels if self.out_channels is None else self.out_channels
        stride, padding, dilation = (
            1 if self.stride is None else self.stride,
            0 if self.padding is None else self.padding,
            1 if self.dilation is None else self.dilation,
        )
        kernel = self.kernel_size
        validate.layer(in_channels, outputs, kernel, stride, padding, self.groups, self.padding_mode)
        kernel_height, kernel_width = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight_size = (outputs, in_channels // self.groups, kernel_height, kernel_width)
        convolution = validate.resolve(
            input_size, weight_size, None, stride, padding, dilation, self.groups, self.padding_mode
        )
        batch, channels, height, width = input_size if len(input_size) == 4 else (1, *input_size)
        return Geometry.of((batch, channels, height, width), weight_size, convolution)


def convolution_options(command: _Command) -> _Command:
    """Give a command Conv2d's arguments as options; it gets them as `arguments`, a `ConvolutionArguments`."""

    @wraps(command)
    def collected(*positional: Any, **options: Any) -> Any:
        given = {field.name: options.pop(field.name) for field in fields(ConvolutionArguments)}
        return command(*positional, arguments=ConvolutionArguments(**given), **options)

    decorated: Any = collected
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: _Command = decorated
    return result


_OPTIONS = (
    click.option("--out-channels", type=int, metavar="O", help="Output channels, of all groups together."),
    click.option("-k", "--kernel-size", type=PAIR, metavar="K|HxW", help="Taps: 3, or 3x5 (height x width)."),
    click.option("-s", "--stride", type=PAIR, metavar="S|HxW", help="Pixels from window to window. [1]"),
    click.option(
        "-p",
        "--padding",
        type=PADDING,
        metavar="P",
        help="1, 1x2 (height x width), 0:1x2:3 (top:bottom x left:right), or a name: "
        f"{', '.join(PADDING_STRINGS)}. [0]",
    ),
    click.option("-d", "--dilation", type=PAIR, metavar="D|HxW", help="Pixels from tap to tap. [1]"),
    click.option("-g", "--groups", type=int, default=1, metavar="G", help="Groups of channels. [1]"),
    click.option("--bias/--no-bias", default=True, help="Whether a bias is added. [yes]"),
    click.option(
        "--padding-mode",
        default="zeros",
        metavar="MODE",
        help=f"What the padding holds: {', '.join(PADDING_MODES)}. [zeros]",
    ),
)
