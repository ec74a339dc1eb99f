"""Workspaces: exclusive, used again, bounded, a process's own; and huge pages, as the system sees them."""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import children
from tatamu.engine.runtime import memory

MIB = 1 << 20


@contextmanager
def workspace(size: int) -> Iterator[int]:
    """The address of a workspace that is taken and given back."""
    taken = memory.take(size)
    try:
        yield taken[1]
    finally:
        memory.give_back(taken)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(memory, "_free", [])
    yield
    assert len(memory._free) <= 4
    assert sum(size for size, *_ in memory._free) <= 128 * MIB


def test_a_workspace_is_used_again() -> None:
    with workspace(10_000) as first:
        pass
    with workspace(9_000) as second:
        assert second == first
        with workspace(9_000) as nested:
            assert abs(nested - second) >= 9_000


def test_a_workspace_that_failed_is_used_again() -> None:
    with pytest.raises(KeyError), workspace(5_000) as first:
        raise KeyError
    with workspace(5_000) as second:
        assert second == first


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 3 * MIB + 1])
def test_every_byte_can_be_written(size: int) -> None:
    with workspace(4096), workspace(size) as address:
        assert address % 64 == 0
        ctypes.memset(address, 0xA5, size)
        assert ctypes.string_at(address, size) == b"\xa5" * size


def test_one_that_is_too_small_makes_room_for_a_larger_one() -> None:
    with workspace(4096):
        pass
    with workspace(MIB) as address:
        ctypes.memset(address, 1, MIB)
        assert memory._free == []
    assert [size for size, *_ in memory._free] == [MIB]


def test_few_are_kept() -> None:
    with ExitStack() as stack:
        addresses = [stack.enter_context(workspace(4096)) for _ in range(9)]
        assert len(set(addresses)) == 9
    assert len(memory._free) == 4


def test_few_bytes_are_kept() -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(workspace(60 * MIB))
    assert [size for size, *_ in memory._free] == [60 * MIB] * 2
    with workspace(200 * MIB):
        pass
    assert sum(size for size, *_ in memory._free) <= 60 * MIB


def test_threads_never_share_one() -> None:
    wrong: list[int] = []

    def work(mark: int) -> None:
        for turn in range(200):
            size = 4096 * (1 + (turn * mark) % 5)
            with workspace(size) as address:
                ctypes.memset(address, mark, size)
                if ctypes.string_at(address, size) != bytes([mark]) * size:
                    wrong.append(mark)

    workers = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 9)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_each_has_words_of_its_own() -> None:
    one, other = memory.take(64), memory.take(64)
    assert one[3] != other[3]
    one[2][0] = 7
    assert ctypes.c_int64.from_address(one[3]).value == 7
    memory.give_back(one)
    memory.give_back(other)


def test_a_forked_child_has_its_own() -> None:
    output = children.run("""
        import ctypes, os
        from tatamu.engine.runtime import memory
        taken = memory.take(4096)
        address = taken[1]
        ctypes.memset(address, 1, 4096)
        memory.give_back(taken)
        child = os.fork()
        assert memory.take(4096)[1] == address
        if child == 0:
            ctypes.memset(address, 2, 4096)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(ctypes.string_at(address, 1)[0])
    """)
    assert output == "1\n"


def _asks_for_huge_pages(address: int) -> bool:
    """Whether the system holds the mapping at an address for one to be backed by huge pages ('hg')."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split(maxsplit=1)[0]
        if "-" in head:
            begin, end = (int(number, 16) for number in head.split("-"))
            inside = begin <= address < end
        elif inside and head == "VmFlags:":
            return "hg" in line.split()
    raise AssertionError(f"no mapping at {address:#x}")


needs_huge_pages = pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists() or not Path("/proc/self/smaps").exists(),
    reason="this system has no transparent huge pages, or does not show them",
)


@needs_huge_pages
def test_huge_pages_for_large_results_and_no_others() -> None:
    size = 40 * MIB
    for asked in (size, 8 * MIB):
        mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        middle = address + asked // 2
        assert not _asks_for_huge_pages(middle)
        memory.ask_for_huge_pages(address + 4096, asked - 4096)
        assert _asks_for_huge_pages(middle) == (asked == size)
        assert not _asks_for_huge_pages(address)  # The first page belongs to somebody else.
        mapping[:] = bytes(size)


@needs_huge_pages
def test_huge_pages_for_large_workspaces() -> None:
    with workspace(8 * MIB) as address:
        assert _asks_for_huge_pages(address + 4 * MIB)
    with workspace(64), workspace(64) as address:
        assert not _asks_for_huge_pages(address)


def test_a_system_without_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    assert memory._find_madvise() is None
    monkeypatch.setattr(memory, "_madvise", None)
    memory.ask_for_huge_pages(1 << 30, 64 * MIB)
    with workspace(8 * MIB) as address:
        ctypes.memset(address, 1, 8 * MIB)
