"""`tatamu bench`: torch against tatamu, on the user's own layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tatamu.cli.arguments import IMAGE, ConvolutionArguments, convolution_options
from tatamu.cli.common import console, examples, table
from tatamu.geometry import Axis, Geometry
from tatamu.measuring.contest import LayerPass, Times, contest, threads
from tatamu.measuring.machine import described
from tatamu.measuring.passes import PASSES
from tatamu.measuring.verify import WrongResultError
from tatamu.tracing.loading import load
from tatamu.tracing.walk import walk

_WORDS = {
    "forward": "forward",
    "grad_input": "gradient of the input",
    "grad_weight": "gradient of the weight",
}
Layers = dict[Geometry, list[str]]
"""Different convolutions, each with the paths of the layers that compute it."""


@click.command(
    "bench",
    epilog=examples(
        "tatamu bench 3x224x224 --model torchvision.models:resnet18",
        "tatamu bench 8x3x64x64 --model model.py:Model --all-passes",
        "tatamu bench 64x56x56 --out-channels 64 -k 3 -p 1",
    ),
)
@click.argument("size", type=IMAGE, metavar="SIZE")
@click.option("--model", metavar="PLACE:NAME", help="The model: package.module:Model, or file.py:Model.")
@click.option("--all-passes", is_flag=True, help="The gradients of input and weight too.")
@convolution_options
def command(
    size: tuple[int, ...], model: str | None, all_passes: bool, arguments: ConvolutionArguments
) -> int:
    """Time torch and tatamu on the convolutions of a model.

    SIZE is the model's input. Without a model, the arguments say what is convolved.

    Each different convolution is computed by both without its bias, on random float32 numbers, and judged
    against float64; what is wrong is not timed, and the exit status is 1. Times are medians of calls in
    blocks, torch's and tatamu's in turn.
    """
    if model is not None and (arguments.out_channels, arguments.kernel_size) != (None, None):
        raise click.UsageError("give a model or the arguments of a layer, not both")
    layers = _described(size, arguments) if model is None else _of_model(model, size)
    passes = PASSES if all_passes else PASSES[:1]
    times, wrong = _measured(layers, passes)
    out = console()
    out.print(described(threads()))
    for direction in passes:
        found = {geometry: each for (geometry, of), each in times.items() if of == direction}
        if found:
            out.print(_table(_WORDS[direction], layers, found))
    for sentence in wrong:
        click.echo(f"tatamu: {sentence}", err=True)
    return 1 if wrong else 0


def _described(size: Sequence[int], arguments: ConvolutionArguments) -> Layers:
    if arguments.out_channels is None:
        raise click.UsageError("give a model with --model, or a layer with --out-channels and --kernel-size")
    return {arguments.geometry(size): ["layer"]}


def _of_model(spec: str, size: Sequence[int]) -> Layers:
    found = walk(load(spec), size)
    if found.failure is not None:
        given = "x".join(map(str, size))
        where = f"{found.failure.path}: " if found.failure.path else ""
        raise click.ClickException(f"{spec} does not run on {given}: {where}{found.failure.error}")
    layers: Layers = {}
    for step in found.steps:
        if step.geometry is not None:
            layers.setdefault(step.geometry, []).append(step.path)
    if not layers:
        raise click.ClickException(f"{spec} has no convolution that runs on this input")
    return layers


def _measured(layers: Layers, passes: Iterable[str]) -> tuple[dict[tuple[Geometry, str], Times], list[str]]:
    """The times, and a sentence for each result that is wrong."""
    everything = [(geometry, direction) for direction in passes for geometry in layers]
    times: dict[tuple[Geometry, str], Times] = {}
    wrong = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # No refreshing in the background: it would take its time from the calls that are measured.
    shown = Console(stderr=True)
    hidden = not shown.is_terminal
    with Progress(*columns, console=shown, auto_refresh=False, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=len(everything))
        for geometry, direction in everything:
            name = layers[geometry][0]
            bar.update(task, description=f"{name}, {_WORDS[direction]}", refresh=True)
            try:
                times[geometry, direction] = contest(LayerPass(name, geometry, direction))
            except WrongResultError as error:
                wrong.append(str(error))
            bar.update(task, advance=1, refresh=True)
    return times, wrong


def _table(title: str, layers: Layers, times: dict[Geometry, Times]) -> Table:
    it = table(title)
    it.add_column("layer", overflow="fold")
    it.add_column("convolution", no_wrap=True)
    for name in ("calls", "torch ms", "tatamu ms", "times as fast"):
        it.add_column(name, justify="right")
    for geometry, each in times.items():
        calls = len(layers[geometry])
        it.add_row(
            layers[geometry][0], _convolution(geometry), f"{calls}",
            _milliseconds(each.torch.median), _milliseconds(each.tatamu.median), f"{each.ratio:.2f}",
        )  # fmt: skip
    theirs, ours = (
        sum(len(layers[geometry]) * seconds for geometry, seconds in medians)
        for medians in (
            [(geometry, each.torch.median) for geometry, each in times.items()],
            [(geometry, each.tatamu.median) for geometry, each in times.items()],
        )
    )
    it.add_section()
    calls = sum(len(layers[geometry]) for geometry in times)
    it.add_row("all", "", f"{calls}", _milliseconds(theirs), _milliseconds(ours), f"{theirs / ours:.2f}")
    return it


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"


def _convolution(geometry: Geometry) -> str:
    """Such as '3×3 s2 p1 64→128 g32 @56×56'."""
    rows, columns = geometry.rows, geometry.columns
    stride, dilation, padding = (
        _both(rows.stride, columns.stride),
        _both(rows.dilation, columns.dilation),
        _both(_sides(rows), _sides(columns)),
    )
    parts = [
        f"{rows.kernel}×{columns.kernel}",
        f"s{stride}" if stride != "1" else "",
        f"d{dilation}" if dilation != "1" else "",
        f"p{padding}" if padding != "0" else "",
        geometry.padding_mode if geometry.padding_mode != "zeros" else "",
        f"{geometry.in_channels}→{geometry.out_channels}",
        f"g{geometry.groups}" if geometry.groups > 1 else "",
        f"@{rows.size}×{columns.size}",
    ]
    return " ".join(filter(None, parts))


def _sides(axis: Axis) -> str:
    return f"{axis.before}" if axis.before == axis.after else f"{axis.before}:{axis.after}"


def _both(height: object, width: object) -> str:
    return f"{height}" if height == width else f"{height}×{width}"
