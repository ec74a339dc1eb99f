"""Workspaces that are used again, and huge pages for large results."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_PAGE = 1 << 12
_HUGE_PAGE = 1 << 21
LARGE_RESULT = 16 << 20
"""Bytes from which a result is worth asking for huge pages."""
_MOST_KEPT = 4
_MOST_KEPT_BYTES = 128 << 20

_Buffer = tuple[int, int, mmap.mmap]
"""Bytes, address, mapping."""

# Buffers not in use, the last used last. A step on the list is atomic: no lock is held, nor lost in a fork.
_free: list[_Buffer] = []


def _new(size: int) -> _Buffer:
    # Private: a forked child must not write into its parent's workspace.
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= _HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # A kernel built without huge pages.
            mapping.madvise(mmap.MADV_HUGEPAGE)
    return size, ctypes.addressof(ctypes.c_char.from_buffer(mapping)), mapping


def _keep(buffer: _Buffer) -> None:
    _free.append(buffer)
    while len(_free) > _MOST_KEPT or sum(size for size, _, _ in _free.copy()) > _MOST_KEPT_BYTES:
        with suppress(IndexError):  # Another thread was quicker.
            _free.pop(0)


@contextmanager
def workspace(size: int) -> Iterator[int]:
    """The address of ``size`` bytes or more that belong to the caller until it leaves; contents are anything.

    Between calls four buffers of 128 MiB in all are kept at most.

    Raises:
        OSError: there is no such amount of memory.
    """
    buffer: _Buffer | None
    try:
        buffer = _free.pop()
    except IndexError:
        buffer = None
    if buffer is None or buffer[0] < size:
        buffer = None  # Given back before its successor is mapped.
        buffer = _new(-(-max(size, 1) // _PAGE) * _PAGE)
    try:
        yield buffer[1]
    finally:
        _keep(buffer)


def _find_madvise() -> Callable[[int, int, int], int] | None:
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        function = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    function.restype = ctypes.c_int
    return function


_madvise = _find_madvise()


def ask_for_huge_pages(address: int, size: int) -> None:
    """Ask for huge pages behind a large result that is about to be written for the first time.

    A fresh buffer costs one page fault per 4 KiB otherwise: more time than many a layer takes.
    """
    if size < LARGE_RESULT or _madvise is None:
        return
    begin = -(-address // _HUGE_PAGE) * _HUGE_PAGE
    end = (address + size) // _HUGE_PAGE * _HUGE_PAGE
    if end > begin:
        _madvise(begin, end - begin, mmap.MADV_HUGEPAGE)
