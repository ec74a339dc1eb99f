"""`tatamu`: reads the command line and hands it to a subcommand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tatamu.cli import cache


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or the process's own; returns its exit status."""
    parser = argparse.ArgumentParser(prog="tatamu", description="torch.nn.Conv2d on machine code of its own.")
    subcommands = parser.add_subparsers(required=True, metavar="command")
    cache.add_to(subcommands)
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status
