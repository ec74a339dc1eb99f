"""`tatamu cache`: where compiled kernels are kept, how many, and how to be rid of them."""

from __future__ import annotations

import argparse
import sys

from tatamu.engine.runtime import cache


def add_to(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the subcommand known."""
    text = "show the compiled kernels on disk, or remove them"
    parser = subcommands.add_parser("cache", help=text, description=text.capitalize() + ".")
    parser.add_argument(
        "--clear", action="store_true", help="remove all of them; they are compiled again when needed"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        folder = cache.directory()
        if arguments.clear:
            print(f"removed {_files(cache.clear())} from {folder}")
        else:
            found = cache.stored()
            print(f"{folder}: {_files(len(found))}, {sum(status.st_size for _, status in found):,} bytes")
    except (OSError, RuntimeError) as error:
        print(f"tatamu cache: {error}", file=sys.stderr)
        return 1
    return 0


def _files(count: int) -> str:
    return f"{count} compiled kernel{'' if count == 1 else 's'}"
