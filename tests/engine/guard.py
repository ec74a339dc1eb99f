"""Memory between two pages that nobody may touch: a read or write outside it ends the process."""

from __future__ import annotations

import ctypes
import mmap

_PAGE = mmap.PAGESIZE
_CANARY = 0xA5
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Arena:
    """`size` bytes, rounded up to pages, with a forbidden page before and another behind.

    One buffer lies in it at a time, flush with either page. What is left of the arena beside the buffer may
    be touched without a fault, so it holds a pattern that `untouched` looks for: writes are noticed there
    too, and reads by the other placement.
    """

    def __init__(self, size: int) -> None:
        self.size = -(-size // _PAGE) * _PAGE
        self._mapping = mmap.mmap(-1, self.size + 2 * _PAGE)
        self.begin = ctypes.addressof(ctypes.c_char.from_buffer(self._mapping)) + _PAGE
        for page in (self.begin - _PAGE, self.begin + self.size):
            if _libc.mprotect(page, _PAGE, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.place(0, behind=False)

    def place(self, size: int, *, behind: bool, away: int = 0) -> int:
        """The address of `size` bytes, `away` bytes from the page before them, or from the one `behind`."""
        if size + away > self.size:
            raise ValueError(f"{size} + {away} bytes do not fit an arena of {self.size}")
        address = self.begin + self.size - size - away if behind else self.begin + away
        self._placed = (address, size)
        for start, length in self._beside():
            ctypes.memset(start, _CANARY, length)
        return address

    def untouched(self) -> bool:
        """Whether nothing was written beside the buffer (looked for as far as two pages from it)."""
        return all(
            ctypes.string_at(start, length) == bytes([_CANARY]) * length for start, length in self._beside()
        )

    def _beside(self) -> list[tuple[int, int]]:
        address, size = self._placed
        first, last = max(self.begin, address - 2 * _PAGE), address + size
        return [(first, address - first), (last, min(self.begin + self.size - last, 2 * _PAGE))]
