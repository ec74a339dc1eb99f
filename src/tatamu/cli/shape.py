"""`tatamu shape`: what comes out of a convolution, and what it costs."""

from __future__ import annotations

import click

from tatamu import solving
from tatamu.cli.arguments import IMAGE, PAIR, ConvolutionArguments, Pair, convolution_options
from tatamu.cli.common import examples
from tatamu.cli.unread import unread_pixels, unused_padding
from tatamu.geometry import Geometry


@click.command(
    "shape",
    epilog=examples(
        "tatamu shape 3x224x224 --out-channels 64 -k 7 -s 2 -p 3",
        "tatamu shape 16x32x48x48 --out-channels 64 -k 3x5 -p same -g 4 --no-bias",
        "tatamu shape 3x224x224 --solve 112",
        "tatamu shape 3x224x160 --solve 56x40 -k 7",
    ),
)
@click.argument("size", type=IMAGE, metavar="CxHxW|NxCxHxW")
@convolution_options
@click.option(
    "--solve",
    type=PAIR,
    metavar="SIZE|HxW",
    help="The other way: the arguments that give an output of this size; those that you give are fixed.",
)
def command(size: tuple[int, ...], arguments: ConvolutionArguments, solve: Pair | None) -> None:
    """Show what a Conv2d makes of an input of this size.

    The output's size and how it comes about, parameters, multiply-adds, the receptive field, and the pixels
    that are never read.
    """
    if solve is not None:
        _show_solutions((size[-2], size[-1]), solve, arguments)
        return
    if arguments.out_channels is None:
        raise click.UsageError("Missing option '--out-channels'")
    geometry = arguments.geometry(size)
    skipped = len(geometry.output_size) - len(size)
    click.echo(f"{_size(geometry.input_size[skipped:])} → {_size(geometry.output_size[skipped:])}\n")
    for name, text in _facts(geometry, arguments.bias):
        click.echo(f"{name:<18}{text}")


def _show_solutions(image: tuple[int, int], wanted: Pair, arguments: ConvolutionArguments) -> None:
    if arguments.padding_mode != "zeros":
        raise click.UsageError("--solve is about padding with zeros; leave out --padding-mode")
    found = solving.solve(
        image,
        wanted,
        kernel_size=arguments.kernel_size,
        stride=arguments.stride,
        padding=arguments.padding,
        dilation=arguments.dilation,
    )
    output = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    click.echo(f"{_size(image)} → {_size(output)}, the plainest first:\n")
    width = max(len(str(solution)) for solution in found)
    for solution in found:
        line = f"Conv2d(…, {solution})".ljust(width + 14) + ", ".join(solution.remarks)
        click.echo(line.rstrip())


def _facts(geometry: Geometry, bias: bool) -> list[tuple[str, str]]:
    rows, columns = geometry.rows, geometry.columns
    if rows == columns:
        formulas = [("height and width", rows.formula)]
    else:
        formulas = [("height", rows.formula), ("width", columns.formula)]
    return [
        *formulas,
        ("parameters", _parameters(geometry, bias)),
        ("multiply-adds", _multiply_adds(geometry)),
        ("receptive field", _receptive_field(geometry)),
        *_named("never read", unread_pixels(geometry) or ["no row and no column"]),
        *_named("unused padding", unused_padding(geometry)),
    ]


def _named(name: str, texts: list[str]) -> list[tuple[str, str]]:
    return [("" if place else name, text) for place, text in enumerate(texts)]


def _receptive_field(geometry: Geometry) -> str:
    vertical, horizontal = geometry.receptive_field
    return (
        f"{vertical.size} × {horizontal.size} pixels, the next one {vertical.jump} × {horizontal.jump} "
        f"further; the first begins at row {vertical.start}, column {horizontal.start}"
    )


def _parameters(geometry: Geometry, bias: bool) -> str:
    biases = f" + {geometry.out_channels:,}" if bias else ""
    return f"{geometry.parameters(bias):,} = {_product(geometry.weight_size)}{biases}"


def _multiply_adds(geometry: Geometry) -> str:
    outputs, products = _product(geometry.output_size), _product(geometry.weight_size[1:])
    return f"{geometry.macs:,} = {outputs} outputs of {products} products each"


def _product(factors: tuple[int, ...]) -> str:
    return "·".join(map(str, factors))


def _size(size: tuple[int, ...]) -> str:
    return " × ".join(map(str, size))
