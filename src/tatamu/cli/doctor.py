"""`tatamu doctor`: whether it works here, and what it found."""

from __future__ import annotations

import click

from tatamu.cli.common import examples
from tatamu.measuring.examination import BROKEN, NOTICE, examine

_MARKS = {BROKEN: "✗", NOTICE: "!"}


@click.command("doctor", epilog=examples("tatamu doctor"))
def command() -> int:
    """Look at this machine, and compute a convolution on it.

    A line that begins with ✗ is broken, and the exit status is 1; one that begins with ! is not as good as it
    could be.
    """
    findings = examine()
    for finding in findings:
        mark = _MARKS.get(finding.state, "✓")
        click.echo(f"{mark} {finding.name:<15}{finding.text}")
    return int(any(finding.state == BROKEN for finding in findings))
