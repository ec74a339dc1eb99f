"""Python programs run in processes of their own: for forks, other users, and modules not yet imported."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 60
"""A child that takes longer hangs."""


def start(program: str, **environment: str) -> subprocess.Popen[str]:
    """A process that runs the program on the tree under test; warnings are errors."""
    paths = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # What it has forked is ended with it.
    )


def finish(child: subprocess.Popen[str]) -> str:
    """What the child printed; fails where it failed, or did not come to an end."""
    try:
        output, errors = child.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        output, errors = child.communicate()
        raise AssertionError(f"the child hangs\n{output}\n{errors}") from None
    assert child.returncode == 0, f"the child's status is {child.returncode}\n{output}\n{errors}"
    return output


def run(program: str, **environment: str) -> str:
    """What a program prints, once it has ended well."""
    return finish(start(program, **environment))
