"""No kernel reads or writes outside its operands, its table or its workspace: a process would die of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tatamu
from tatamu.engine.target import host

GEOMETRIES = 500
TARGETS = ["avx2"] if host().name == "avx2" else ["host"] if host().name == "neon" else ["host", "avx2"]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def children(request: pytest.FixtureRequest) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One child per target, side by side."""
    source = Path(tatamu.__path__[0]).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(source), str(HERE.parent)))}
    seed = str(request.config.getoption("--seed"))
    started = {
        target: subprocess.Popen(
            [sys.executable, str(HERE / "guarded_child.py"), target, str(GEOMETRIES), seed],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for target in TARGETS
    }
    yield started
    for child in started.values():
        with child:  # One that no test has waited for keeps its pipe open.
            child.kill()


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_outside_is_touched(children: dict[str, subprocess.Popen[str]], target: str) -> None:
    output, _ = children[target].communicate(timeout=300)
    lines = output.splitlines()
    # The last line printed names the case that ended the child; a negative status is a signal, 11 a fault.
    assert children[target].returncode == 0, "\n".join(lines[-3:])
    assert "the guard catches" in lines
    assert lines[-1] == f"{GEOMETRIES} geometries ran"
