"""The thread pool that torch already runs: the OpenMP library that libtorch_cpu itself links."""

from __future__ import annotations

import ctypes
import functools
import os
import warnings
from pathlib import Path

import llvmlite.binding as llvm

from tatamu.engine.kernels.entry import GOMP_PARALLEL

_state = {"forked": False}


def _after_fork() -> None:
    # libgomp's pool does not survive a fork: a child that asks for it waits for ever.
    _state["forked"] = True


os.register_at_fork(after_in_child=_after_fork)


def _mapped_library(name: str) -> str | None:
    """Path of a library of this process."""
    try:
        with Path("/proc/self/maps").open() as maps:
            return next((path for line in maps if (path := line.split(maxsplit=5)[-1].strip()).endswith("/" + name)), None)
    except OSError:
        return None


def _do_nothing_in_parallel(*_: object) -> None:
    raise AssertionError("one thread never enters a parallel region")


_placeholder = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)(_do_nothing_in_parallel)


@functools.lru_cache(maxsize=1)
def has_pool() -> bool:
    """Find the pool and make its entry known to generated code; False, with one notice, where there is none.

    The symbol is looked up through libtorch_cpu, so it comes from the library torch's own threads
    live in, however many OpenMP libraries are mapped.
    """
    path = _mapped_library("libtorch_cpu.so")
    try:
        entry = getattr(ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW), GOMP_PARALLEL) if path else None
    except (OSError, AttributeError):
        entry = None
    found = entry is not None
    llvm.add_symbol(GOMP_PARALLEL, ctypes.cast(entry if entry is not None else _placeholder, ctypes.c_void_p).value)
    if not found:
        warnings.warn("tatamu found no OpenMP library behind torch and computes on one thread.", RuntimeWarning, stacklevel=2)
    return found


def usable(wanted: int) -> int:
    """How many of the ``wanted`` threads a call may use here: one in a forked child or without a pool."""
    if wanted <= 1 or _state["forked"]:
        return 1
    return wanted if has_pool() else 1
