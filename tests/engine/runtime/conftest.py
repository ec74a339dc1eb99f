"""A process that has compiled nothing yet, as far as the runtime can see."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from llvmlite import binding as llvm

from tatamu.engine.runtime import cache, jit
from tatamu.engine.target import Target


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's directory, which does not exist yet."""
    chosen = tmp_path / "cache"
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(chosen))
    cache._complain.cache_clear()
    return chosen


@pytest.fixture
def start_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets what is linked and in memory, as a new process would; call it once before each run."""
    alive: list[Callable[[Target], llvm.ExecutionEngine]] = []
    machine, linker = jit.target_machine.__wrapped__, jit._linker.__wrapped__

    def start() -> None:
        monkeypatch.setattr(jit, "_functions", {})
        monkeypatch.setattr(jit, "target_machine", functools.cache(machine))
        monkeypatch.setattr(jit, "_linker", functools.cache(linker))
        alive.append(jit._linker)  # Its functions must not outlive it.

    return start


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels compiled since the test began."""
    names: list[str] = []
    emit = jit.emit_objects

    def emit_objects(kernel: jit.Kernel, target: Target) -> list[bytes]:
        names.append(kernel.name(target))
        return emit(kernel, target)

    monkeypatch.setattr(jit, "emit_objects", emit_objects)
    return names
