"""`tatamu cache`: where compiled kernels are kept, how many, and how to be rid of them."""

from __future__ import annotations

import click

from tatamu.cli.common import examples
from tatamu.engine.runtime import cache


@click.command("cache", epilog=examples("tatamu cache", "tatamu cache --clear"))
@click.option("--clear", is_flag=True, help="Remove all of them; they are compiled again when needed.")
def command(clear: bool) -> None:
    """Show the compiled kernels on disk, or remove them."""
    try:
        folder = cache.directory()
        if clear:
            click.echo(f"removed {_files(cache.clear())} from {folder}")
        else:
            found = cache.stored()
            size = sum(status.st_size for _, status in found)
            click.echo(f"{folder}: {_files(len(found))}, {size:,} bytes")
    except (OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def _files(count: int) -> str:
    return f"{count} compiled kernel{'' if count == 1 else 's'}"
