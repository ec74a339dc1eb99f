"""`tatamu cache`: where compiled kernels are kept, how many, and how to be rid of them."""

from __future__ import annotations

import click

from tatamu.cli.common import examples
from tatamu.engine.runtime import cache


@click.command("cache", epilog=examples("tatamu cache", "tatamu cache --clear"))
@click.option("--clear", is_flag=True, help="Remove all of them; they are compiled again when needed.")
def command(clear: bool) -> None:
    """Show the compiled kernels on disk, or remove them.

    They are kept in TATAMU_CACHE_DIR, or in the user's cache directory. Beyond the most that is kept, what
    was used longest ago is removed.
    """
    try:
        folder = cache.directory()
        if clear:
            click.echo(f"removed {_files(cache.clear())} from {folder}")
        else:
            found = cache.stored()
            size, most = (sum(status.st_size for _, status in found), cache.bound())
            click.echo(f"{folder}: {_files(len(found))}, {size:,} of at most {most:,} bytes")
            if refusal := cache.refusal():
                click.echo(f"nothing is kept: {refusal}")
    except (OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def _files(count: int) -> str:
    return f"{count} compiled kernel{'' if count == 1 else 's'}"
