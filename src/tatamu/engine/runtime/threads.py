"""The thread pool that torch already runs: the OpenMP library that libtorch_cpu itself links."""

from __future__ import annotations

import ctypes
import functools
import os
import warnings
from pathlib import Path

import llvmlite.binding as llvm

from tatamu.engine.kernels.job import GOMP_PARALLEL

_state = {"forked": False}


def _after_fork() -> None:
    # The pool's threads do not survive a fork: a child that asks for them waits for ever.
    _state["forked"] = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _mapped_library(name: str) -> str | None:
    """Path of a library of this process; None where there is none, or no /proc to see it in."""
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:
        return None
    paths = (os.fsdecode(line.split(maxsplit=5)[-1]) for line in lines)
    return next((path for path in paths if path.endswith("/" + name)), None)


def find_pool() -> int | None:
    """The address of the pool's entry; None where there is none.

    It is looked up through libtorch_cpu, so it comes from the library torch's own threads live in,
    however many OpenMP libraries are mapped.
    """
    path = _mapped_library("libtorch_cpu.so")
    if path is None:
        return None
    try:
        entry = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)[GOMP_PARALLEL]
    except (OSError, AttributeError):
        return None
    return ctypes.cast(entry, ctypes.c_void_p).value


def pool_library() -> str | None:
    """The file that the pool's entry lies in; None where there is no pool, or no /proc to see it in."""
    entry = find_pool()
    if entry is None:
        return None
    for line in Path("/proc/self/maps").read_bytes().splitlines():
        span, *_, path = line.split(maxsplit=5)
        begin, end = (int(address, 16) for address in span.split(b"-"))
        if begin <= entry < end:
            return os.fsdecode(path)
    return None


@functools.lru_cache(maxsize=1)
def has_pool() -> bool:
    """Make the pool's entry known to generated code; False, with one notice, where there is none."""
    entry = find_pool()
    if entry is not None:
        llvm.add_symbol(GOMP_PARALLEL, entry)
        return True
    # The name must mean something for kernels to link; one thread never calls it.
    llvm.add_symbol(GOMP_PARALLEL, ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value)
    warnings.warn(
        "tatamu found no OpenMP library behind torch and computes on one thread", RuntimeWarning, stacklevel=2
    )
    return False


def usable(wanted: int) -> int:
    """How many of the ``wanted`` threads a call may use here: one in a forked child or without a pool."""
    if wanted <= 1 or _state["forked"]:
        return 1
    return wanted if has_pool() else 1
