"""Finished sums of grad weight of streams → the gradient of the weight."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


def define_store_sums(module: ir.Module, numbers: Numbers, rows: int, width: int) -> ir.Function:
    """Write the tiles of a task, ``tiles[tap][m tile][row tile][row][x]``.

    Arguments: table, job, tiles, target (of this group), first stream, streams, first channel of the second
    operand, channels.
    """
    code = define(module, "store_sums", [POINTER] * 4 + [I64] * 4)
    store = _Store(code, numbers, rows, width)
    with code.either(store.job[Word.WEIGHT_CONTIGUOUS].equals(1)) as (streams, others):
        with streams:
            store.streams_side_by_side()
        with others, code.either(store.job[Word.TARGET_N].equals(1)) as (lying, scattered):
            with lying:
                store.channels_side_by_side()
            with scattered:
                store.apart()
    code.done()
    return code.function


class _Store:
    """The ways of writing, by what lies side by side in the gradient."""

    def __init__(self, code: Code, numbers: Numbers, rows: int, width: int) -> None:
        self.code, self.rows, self.width, self.lanes = code, rows, width, numbers.lanes
        self.job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
        self.tiles = code.pointer(2, numbers.computed)
        self.target = code.pointer(3, numbers.stored)
        row0, self.present, self.m0, self.channels = (code.argument(n) for n in range(4, 8))
        self.taps = self.job[Word.ROW_TAPS]
        self.row_tiles = (self.present + (rows - 1)) // rows
        self.m_tiles = (self.channels + (width - 1)) // width
        self.places = self.job.table + (self.job[Word.PLACE_TABLE] + row0)
        self.tap_places = self.job.table + self.job[Word.WEIGHT_TAP_TABLE]
        self.block = code.stack(numbers.computed, numbers.lanes * numbers.lanes)

    def _tile(self, tap: Int, m: Int, row_tile: Int) -> Pointer:
        """The first row of a tile, at a channel of the second operand."""
        number = (tap * self.m_tiles + m // self.width) * self.row_tiles + row_tile
        return self.tiles + (number * (self.rows * self.width) + m % self.width)

    def _sums(self, tap: Int, m: Int, row: Int) -> Pointer:
        return self._tile(tap, m, row // self.rows) + (row % self.rows) * self.width

    def streams_side_by_side(self) -> None:
        """Squares are turned, of streams by channels of the second operand.

        `WEIGHT_RUN` taps of a stream lie before the next stream: all of them, or one.
        """
        code, lanes = self.code, self.lanes
        run = self.job[Word.WEIGHT_RUN]
        pairs = self.present * run
        with (
            code.loop(0, self.channels, lanes) as m,
            code.loop(0, self.taps, run) as tap0,
            code.loop(0, pairs, lanes) as pair,
        ):
            row, tap = code.variable(pair // run), code.variable(pair % run)
            lines = []
            for _ in range(lanes):
                lines.append(self._sums(tap0 + tap.now, m, row.now).load(0, lanes))
                past = (tap.now + 1).equals(run)
                tap.become(code.select(past, 0, tap.now + 1))
                row.become((row.now + code.select(past, 1, 0)).minimum(self.present - 1))
            for number, line in enumerate(transpose(code, lines)):
                self.block.store(line, number * lanes)
            at = self.target + (self.places.read_index(0) + self.tap_places.read_index(tap0) + pair)
            with code.loop(0, (self.channels - m).minimum(lanes)) as lane:
                to = at + (self.m0 + m + lane) * self.job[Word.TARGET_N]
                self._copy(to, self.block + lane * lanes, pairs - pair, lanes)

    def channels_side_by_side(self) -> None:
        """A register at a time."""
        code = self.code
        with (
            code.loop(0, self.present) as row,
            code.loop(0, self.taps) as tap,
            code.loop(0, self.channels, self.lanes) as m,
        ):
            place = self.places.read_index(row) + self.tap_places.read_index(tap)
            to = self.target + (place + self.m0 + m)
            self._copy(to, self._sums(tap, m, row), self.channels - m, self.lanes)

    def apart(self) -> None:
        """In the order of the weight: channels of the second operand, streams, taps."""
        code = self.code
        step = self.m_tiles * self.row_tiles * (self.rows * self.width)
        with code.loop(0, self.channels) as m, code.loop(0, self.present) as row:
            at = (self.m0 + m) * self.job[Word.TARGET_N] + self.places.read_index(row)
            to, sums = self.target + at, self._sums(code.index(0), m, row)
            with code.loop(0, self.taps) as tap:
                to.store(sums.load(tap * step), self.tap_places.read_index(tap))

    def _copy(self, target: Pointer, source: Pointer, count: Int, most: int) -> None:
        """Copy ``count`` elements, or ``most`` where there are more."""
        code = self.code
        with code.either(count >= most) as (full, partial):
            with full:
                target.store(source.load(0, most))
            with partial, code.loop(0, count) as x:
                target.store(source.load(x), x)
