"""`tatamu`: reads the command line and hands it to a subcommand."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tatamu.cli import bench, cache, doctor, shape, trace
from tatamu.errors import TatamuError


@click.group("tatamu", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tatamu")
def commands() -> None:
    """torch.nn.Conv2d on machine code of its own: its kernels, its arithmetic, its pictures."""


for _command in (shape.command, trace.command, bench.command, doctor.command, cache.command):
    commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or the process's own; returns its exit status.

    0: done; 1: it could not be done; 2: the command line is wrong. A mistake is one sentence on stderr.
    """
    try:
        result = commands.main(arguments, prog_name="tatamu", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        where = "" if error.ctx is None else f"; see '{error.ctx.command_path} --help'"
        return _complain(f"{error.format_message().rstrip('.')}{where}", error.exit_code)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except (TatamuError, OSError) as error:
        return _complain(str(error), 1)
    except click.Abort:
        return 130  # What shells say of a program that was interrupted.
    return result if isinstance(result, int) else 0


def _complain(sentence: str, status: int) -> int:
    click.echo(f"tatamu: {sentence}", err=True)
    return status
