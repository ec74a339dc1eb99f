"""Commands as the command line calls them."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from tatamu.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    status: int
    stdout: str
    stderr: str


def run(*arguments: str) -> Result:
    """The command with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    return Result(status, out.getvalue(), err.getvalue())


def complaint(*arguments: str, status: int = 2) -> str:
    """The one sentence that a mistake gets; ``status`` is 2 where the command line itself is wrong."""
    result = run(*arguments)
    assert (result.status, result.stdout) == (status, "")
    assert result.stderr.startswith("tatamu: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("tatamu: ").removesuffix("\n")
