"""Workspaces that are used again, and huge pages for large results."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

_PAGE = 1 << 12
_HUGE_PAGE = 1 << 21
_LARGE_RESULT = 16 << 20
_KEPT = 4
_MADV_HUGEPAGE = 14

# Buffers not in use, the largest last; append and pop are atomic, so no lock is held.
_free: list[tuple[int, int, mmap.mmap]] = []


def _new(size: int) -> tuple[int, int, mmap.mmap]:
    """An anonymous mapping: (bytes, address, mapping)."""
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= _HUGE_PAGE and hasattr(mapping, "madvise") and hasattr(mmap, "MADV_HUGEPAGE"):
        mapping.madvise(mmap.MADV_HUGEPAGE)
    view = ctypes.c_char.from_buffer(mapping)
    return size, ctypes.addressof(view), mapping


@contextmanager
def workspace(size: int) -> Iterator[int]:
    """The address of at least ``size`` bytes that belong to the caller until it leaves; contents are anything."""
    try:
        buffer = _free.pop()
    except IndexError:
        buffer = None
    if buffer is None or buffer[0] < size:
        buffer = _new(-(-max(size, 1) // _PAGE) * _PAGE)
    try:
        yield buffer[1]
    finally:
        if len(_free) < _KEPT:
            _free.append(buffer)


def _find_madvise() -> object:
    try:
        function = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    function.restype = ctypes.c_int
    return function


_madvise = _find_madvise() if hasattr(mmap, "MADV_HUGEPAGE") else None


def ask_for_huge_pages(address: int, size: int) -> None:
    """Ask for huge pages behind a large result that is about to be written for the first time.

    A fresh buffer costs one page fault per 4 KiB otherwise: more time than many a layer takes.
    """
    if size < _LARGE_RESULT or _madvise is None:
        return
    begin = -(-address // _HUGE_PAGE) * _HUGE_PAGE
    end = (address + size) // _HUGE_PAGE * _HUGE_PAGE
    if end > begin:
        _madvise(begin, end - begin, _MADV_HUGEPAGE)  # type: ignore[operator]  # None was ruled out above
