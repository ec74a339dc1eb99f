"""Workspaces that are used again, and huge pages for large results."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from contextlib import suppress

from tatamu.engine.kernels.job import CallWord

_PAGE = 1 << 12
_HUGE_PAGE = 1 << 21
LARGE_RESULT = 16 << 20
"""Bytes from which a result is worth asking for huge pages."""
_MOST_KEPT = 4
_MOST_KEPT_BYTES = 128 << 20

Workspace = tuple[int, int, ctypes.Array[ctypes.c_int64], int, mmap.mmap | None]
"""Bytes, their address, the words of the call that holds them, those words' address, what owns the bytes."""

# Those not in use, the last used last. A step on the list is atomic: no lock is held, nor lost in a fork.
_free: list[Workspace] = []


def allocate(size: int) -> Workspace:
    """New memory, a multiple of a page, that is the caller's as long as it keeps it.

    More than half a huge page begins with one, and huge pages are asked for: tiles and weights are read with
    steps so large that small pages cost a layer up to a third of its speed.

    Raises:
        OSError: there is no such amount of memory.
    """
    is_large = 2 * size > _HUGE_PAGE
    page = _HUGE_PAGE if is_large else _PAGE
    size = -(-max(size, 1) // page) * page
    # Private: a forked child must not write into its parent's workspace.
    mapping = mmap.mmap(-1, size + page * is_large, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if is_large and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # A kernel built without huge pages.
            mapping.madvise(mmap.MADV_HUGEPAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    return workspace_at(-(-address // page) * page, size, mapping)


def workspace_at(address: int, size: int, owner: mmap.mmap | None) -> Workspace:
    """Memory that exists, with words of its own."""
    words = (ctypes.c_int64 * CallWord.LENGTH)()
    return size, address, words, ctypes.addressof(words), owner


def take(size: int) -> Workspace:
    """A workspace of ``size`` bytes or more that belongs to the caller until it gives it back.

    What its bytes and words hold is anything.

    Raises:
        OSError: there is no such amount of memory.
    """
    try:
        workspace = _free.pop()
    except IndexError:
        return allocate(size)
    if workspace[0] >= size:
        return workspace
    del workspace  # Given back before its successor is mapped.
    return allocate(size)


def give_back(workspace: Workspace) -> None:
    """Keep a workspace for the next call: four of 128 MiB in all at most."""
    _free.append(workspace)
    if len(_free) == 1 and workspace[0] <= _MOST_KEPT_BYTES:
        return  # The usual case, settled at once.
    while len(_free) > _MOST_KEPT or sum(kept[0] for kept in _free.copy()) > _MOST_KEPT_BYTES:
        with suppress(IndexError):  # Another thread was quicker.
            _free.pop(0)


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
