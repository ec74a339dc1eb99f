"""`tatamu trace`: a network layer by layer, without computing it; where sizes do not fit, what is wrong."""

from __future__ import annotations

import click
from rich.console import Console

from tatamu.cli.common import examples
from tatamu.tracing.table import WIDTH
from tatamu.tracing.trace import trace


@click.command(
    "trace",
    epilog=examples(
        "tatamu trace transformers:ResNetForImageClassification 3x224x224",
        "tatamu trace path/file.py:Model 3x224x224 --format markdown",
    ),
)
@click.argument("model")
@click.argument("size", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
    help="What is written to stdout.",
)
def command(model: str, size: tuple[str, ...], form: str) -> int:
    """Show MODEL layer by layer for an image of SIZE: what comes out, what it reads, what it costs.

    MODEL is package.module:Model or path/file.py:Model: a class or function without arguments, or a model.
    SIZE is channels, height and width, such as 3x224x224, or the batch before them; one for each input.
    Nothing is computed, no weights are loaded. The status is 1 if the sizes do not fit.
    """
    found = trace(model, size)
    if form == "table":
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        console.print(found)
    else:
        write = {"json": found.to_json, "markdown": found.to_markdown, "html": found.to_html}[form]
        click.echo(write().rstrip("\n"))
    return 0 if found.fits else 1
