"""`tatamu playground`: the page on which every argument of Conv2d can be tried."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from tatamu.cli.common import examples
from tatamu.drawing.playground.page import page

_DEFAULT = Path("tatamu-playground.html")


@click.command("playground", epilog=examples("tatamu playground", "tatamu playground -o conv2d.html"))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Write the page to this file and open nothing. Without it: {_DEFAULT}, in the browser.",
)
def command(output: Path | None) -> None:
    """Try the arguments of Conv2d in the browser.

    The page is one file, which needs no server and no network.
    """
    path = (output or _DEFAULT).resolve()
    path.write_text(page(), encoding="utf-8")
    click.echo(f"wrote {path}")
    if output is None and not webbrowser.open(path.as_uri()):
        raise click.ClickException(f"no browser was found; open {path} in one")
