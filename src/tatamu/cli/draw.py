"""`tatamu draw`: a convolution as a picture."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tatamu.cli.arguments import SMALL_IMAGE, ConvolutionArguments, convolution_options
from tatamu.cli.common import examples
from tatamu.nn import Conv2d

_BEST = -1
"""Stands for the frame that explains most, where none is named."""
_USUAL = {"groups": 1, "bias": True, "padding_mode": "zeros"}


class _Numbers(click.ParamType):  # type: ignore[type-arg]  # Older releases of click do not take one.
    """A seed, or several numbers."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | list[float]:
        """One integer or a list."""
        words = re.split(r"[\s,;]+", str(value).strip())
        try:
            return int(words[0]) if len(words) == 1 else [float(word) for word in words]
        except ValueError:
            self.fail(f"{value!r} is neither a seed nor taps, such as '1 0 -1 2 0 -2 1 0 -1'", param, ctx)


@click.command(
    "draw",
    epilog=examples(
        "tatamu draw -i 5 -k 3 -s 2 -p 1 -o conv.svg",
        "tatamu draw -i 4x6x6 -k 3 -g 4 -o depthwise.html",
        "tatamu draw -i 5 -k 3 -p 1 --padding-mode reflect --numbers --still -o reflect.png",
        "tatamu draw -i 6 -k 3 --numbers '1 0 -1 2 0 -2 1 0 -1' --no-bias -o sobel.gif",
    ),
)
@click.option(
    "-i",
    "--input-size",
    type=SMALL_IMAGE,
    metavar="H|HxW|CxHxW",
    help="Input: 5, 5x7 or 3x5x5. [one that shows it best]",
)
@convolution_options
@click.option("--pool", type=click.Choice(["average", "max"]), help="Draw pooling instead of a convolution.")
@click.option(
    "--transposed", is_flag=True, help="Draw the gradient of the input: the transposed convolution."
)
@click.option(
    "--numbers",
    is_flag=False,
    flag_value="0",
    type=_Numbers(),
    metavar="[SEED|TAPS]",
    help="Compute, on small random integers, with these taps if given.",
)
@click.option(
    "--still",
    is_flag=False,
    flag_value=_BEST,
    type=int,
    metavar="[FRAME]",
    help="One frame of the animation, 0 the first.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Animated .svg or .gif, .html that steps, .png of one frame. [.svg, named after what it shows]",
)
def command(
    input_size: tuple[int, ...] | None,
    arguments: ConvolutionArguments,
    pool: str | None,
    transposed: bool,
    numbers: int | list[float] | None,
    still: int | None,
    output: Path | None,
) -> None:
    """Draw a Conv2d at work: every output, and what it reads.

    Padding, stride, dilation and groups are seen as they are, and numbers are those that the layer computes.
    """
    from tatamu import picture  # noqa: PLC0415 - Pillow and more, which other commands need not wait for.

    channels, size = _input(input_size)
    given = {name: value for name, value in asdict(arguments).items() if value is not None}
    if "kernel_size" not in given:
        raise click.UsageError("Missing option '-k' / '--kernel-size'")
    layer: Any
    if pool is None:
        # Its weights are never asked for, and could be large.
        layer = Conv2d(channels, **{"out_channels": arguments.groups, **given}, device="meta")
    else:
        layer = picture.pooling(pool, **_for_pooling(pool, channels, given))
    drawn = picture.draw(layer, size, numbers=numbers, transposed=transposed)
    path = drawn.save(output or _file_name(drawn.title), drawn.best_frame if still == _BEST else still)
    click.echo(f"{path}: {drawn.title}")


def _input(size: tuple[int, ...] | None) -> tuple[int, tuple[int, int] | None]:
    """Channels, one where they are not said, and (height, width)."""
    if size is None:
        return 1, None
    channels, height, width = (1, size[0], size[0]) if len(size) == 1 else (1, *size)[-3:]
    return channels, (height, width)


def _for_pooling(kind: str, channels: int, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that pooling has; others are a mistake."""
    has = {"kernel_size", "stride", "padding"} | ({"dilation"} if kind == "max" else set())
    for name, value in given.items():
        if name not in has and _USUAL.get(name) != value:
            raise click.UsageError(f"--pool {kind} takes no --{name.replace('_', '-')}")
    if channels != 1:
        raise click.UsageError(
            f"--pool draws one channel, as each is pooled alone, but the input has {channels}"
        )
    return {name: value for name, value in given.items() if name in has}


def _file_name(title: str) -> str:
    """What is in the file: conv2d_1_1_kernel_size_3.svg."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") + ".svg"
