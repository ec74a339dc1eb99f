"""What will be read soon is fetched while something else is computed: some lines of the cache a step."""

from __future__ import annotations

from tatamu.engine.kernels.ir import I64, Code, IndexVariable, Int, Pointer
from tatamu.engine.kernels.job import AHEAD_ENTRY_WORDS as ENTRY_WORDS
from tatamu.engine.kernels.job import AHEAD_HEAD_WORDS as HEAD_WORDS
from tatamu.engine.kernels.job import LINE_BYTES

_NEVER = 1 << 62
_LINES_A_STEP = 2
"""Of a register tile; four tiles of a pixel that is 96 and 16 channels wide must fetch seven lines."""


class AheadList:
    """Being written: ``entry[n]`` is a column of lines: place, how many, bytes from one to the next.

    The first word is where the entry lies that is at work; entries change as they are worked off.
    """

    def __init__(self, code: Code, words: Pointer) -> None:
        self.code, self.words = code, words
        words.store(I64(HEAD_WORDS))
        self.end = code.variable(HEAD_WORDS)

    def rectangle(self, place: Pointer, row_bytes: Int, rows: Int, pitch: Int) -> None:
        """All lines of ``rows`` rows, ``pitch`` bytes apart."""
        begin = Int(self.code, self.code.builder.ptrtoint(place.raw, I64))
        first = begin - begin % LINE_BYTES
        with self.code.loop(first, begin + row_bytes, LINE_BYTES) as line:
            self._entry(line, rows, pitch)

    def run(self, place: Pointer, size: Int) -> None:
        """All lines of some bytes that lie side by side."""
        begin = Int(self.code, self.code.builder.ptrtoint(place.raw, I64))
        self._entry(begin, (size + (LINE_BYTES - 1)) // LINE_BYTES, self.code.index(LINE_BYTES))

    def close(self) -> None:
        """There is no more: the list itself is fetched from then on."""
        place = Int(self.code, self.code.builder.ptrtoint(self.words.raw, I64))
        self._entry(place, self.code.index(_NEVER), self.code.index(0))

    def _entry(self, place: Int, rows: Int, pitch: Int) -> None:
        for number, value in enumerate((place, rows, pitch)):
            self.words.store(value.value, self.end.now + number)
        self.end.become(self.end.now + ENTRY_WORDS)


class Ahead:
    """A list being worked off."""

    def __init__(self, code: Code, words: Pointer) -> None:
        self.code, self.words = code, words
        self._at = code.variable(words.read_index(0))
        self._place, self._left, self._pitch = (code.variable(0) for _ in range(ENTRY_WORDS))
        self._read()

    def step(self, lines: int = _LINES_A_STEP) -> None:
        """Fetch what a step of a register tile has time for."""
        for _ in range(lines):
            self._fetch()

    def _fetch(self) -> None:
        code, place = self.code, self._place.now
        code.prefetch(Pointer(code, code.builder.inttoptr(place.value, self.words.raw.type), I64))
        self._place.become(place + self._pitch.now)
        self._left.become(self._left.now - 1)
        with code.when(self._left.now.equals(0)):
            self._at.become(self._at.now + ENTRY_WORDS)
            self._read()

    def leave(self) -> None:
        """Write down how far the list is worked off."""
        self.words.store(self._at.get())
        self.words.store(self._place.get(), self._at.now)
        self.words.store(self._left.get(), self._at.now + 1)

    def _read(self) -> None:
        held: tuple[IndexVariable, ...] = (self._place, self._left, self._pitch)
        for number, variable in enumerate(held):
            variable.become(self.words.read_index(self._at.now + number))
