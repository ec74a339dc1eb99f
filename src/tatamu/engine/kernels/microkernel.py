"""The register tile: sums of products of a panel of scalars with vectors.

Panels, tables and the tile are drawn in `contract.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ahead import Ahead
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.ir import I1, I64, POINTER, Code, Index, Int, Pointer, Variable, define
from tatamu.engine.kernels.numbers import Numbers


class Sums:
    """The register tile: ``rows`` x ``vectors`` registers, and the tile in memory they are added to.

    ``width`` is the row length of the tile in memory; the registers of a row are ``step`` elements apart,
    or side by side where it is None.
    """

    def __init__(
        self, code: Code, numbers: Numbers, rows: int, vectors: int, width: int, step: Int | None = None
    ) -> None:
        self.code, self.numbers = code, numbers
        self.rows, self.vectors, self.width = rows, vectors, width
        self._step: Index = numbers.lanes if step is None else step
        zero = code.zero(numbers.vector)
        self._held = [[Variable(code, zero) for _ in range(vectors)] for _ in range(rows)]

    def clear(self) -> None:
        """Begin a new stretch of products."""
        for held in self._all():
            held.set(self.code.zero(self.numbers.vector))

    def add_products(self, scalars: Sequence[Pointer], vectors: Pointer, step: Int | None = None) -> None:
        """Add each row's scalar times the registers that lie at ``vectors``, ``step`` elements apart."""
        code, lanes = self.code, self.numbers.lanes
        apart: Index = lanes if step is None else step
        columns = [vectors.load(apart * v, lanes) for v in range(self.vectors)]
        for held, scalar in zip(self._held, scalars, strict=True):
            splat = code.splat(scalar.load(), lanes)
            for of_row, column in zip(held, columns, strict=True):
                of_row.set(self.numbers.multiply_add(code, splat, column, of_row.get()))

    def flush(self, tile: Pointer, first: ir.Value, rows: Sequence[Pointer] | None = None) -> None:
        """Add the sums to the tile, or begin it with them where ``first`` holds.

        Sums of sums: the rounding error grows with the root of a stretch, not of the whole reduction.
        ``rows`` is where each row of what comes out is written, if not to the tile.
        """
        code, lanes = self.code, self.numbers.lanes
        for r, of_row in enumerate(self._held):
            for v, held in enumerate(of_row):
                place = self._step * v + r * self.width
                before = code.builder.select(first, code.zero(self.numbers.vector), tile.load(place, lanes))
                to, at = (tile, place) if rows is None else (rows[r], self._step * v)
                to.store(code.add(before, held.get()), at)

    def add_to(self, places: Sequence[Pointer]) -> None:
        """Add the sums of each row to what lies at its place."""
        for held, place in zip(self._held, places, strict=True):
            for v, one in enumerate(held):
                at = place + self._step * v
                at.store(self.code.add(at.load(0, self.numbers.lanes), one.get()))

    def add_tile(self, tile: Pointer, first: ir.Value) -> None:
        """Add what the tile holds to the sums, unless they are the ``first``."""
        with self.code.when(self.code.builder.not_(first)):
            for held, place in zip(self._all(), self._places(), strict=True):
                held.set(self.code.add(tile.load(place, self.numbers.lanes), held.get()))

    def row(self, number: int) -> list[ir.Value]:
        """The sums of a row."""
        return [held.get() for held in self._held[number]]

    def _all(self) -> list[Variable]:
        return [held for row in self._held for held in row]

    def _places(self) -> list[Index]:
        return [self._step * v + r * self.width for r in range(self.rows) for v in range(self.vectors)]


def define_table_microkernel(
    module: ir.Module,
    numbers: Numbers,
    rows: int,
    vectors: int,
    width: int,
    *,
    packed: bool,
    stores: bool,
) -> ir.Function:
    """``tile[r][x] (+)= sum_k weights[r][table[k].a] * slab[table[k].b + x]``.

    Arguments: weights, slab, table (pairs of byte offsets), number of pairs, tile, whether it starts from
    zero, bytes from one row of weights to the next, rows present; and where the kernel ``stores``: results
    (0: write the tile), elements from a row of results to the next, biases (one per row), pixels present.
    ``width`` is the tile's row length. ``packed`` weights are panels whose ``rows`` lie side by side; others
    are read where they are, the last row present standing in for absent ones.
    """
    arguments = [POINTER, POINTER, POINTER, I64, POINTER, I1, I64, I64]
    more = [POINTER, I64, POINTER, I64] if stores else []
    code = define(module, f"multiply_{rows}x{vectors}", arguments + more)
    weights, slab = code.pointer(0, numbers.computed), code.pointer(1, numbers.computed)
    table, count = code.pointer(2, I64), code.argument(3)
    tile, first = code.pointer(4, numbers.computed), code.function.args[5]
    row_bytes, present = code.argument(6), code.argument(7)
    if packed:
        lines = [weights + r for r in range(rows)]
    else:
        lines = [weights.moved_bytes((present - 1).minimum(r) * row_bytes) for r in range(rows)]
    sums = Sums(code, numbers, rows, vectors, width)
    with code.loop(0, count) as k:
        a = table.read_index(k * 2)
        sums.add_products(
            [line.moved_bytes(a) for line in lines], slab.moved_bytes(table.read_index(k * 2 + 1))
        )
    if not stores:
        sums.flush(tile, first)
    else:
        results = code.pointer(8, numbers.stored)
        with code.either(code.is_null(results)) as (waiting, finished):
            with waiting:
                sums.flush(tile, first)
            with finished:
                sums.add_tile(tile, first)
                _store_rows(sums, results, code.argument(9), code.pointer(10, numbers.computed), present,
                            code.argument(11))  # fmt: skip
    code.done()
    return code.function


def _store_rows(
    sums: Sums, results: Pointer, stride: Int, biases: Pointer, present: Int, pixels: Int
) -> None:
    """Add the biases to finished sums, round once and write them where they belong."""
    code, numbers = sums.code, sums.numbers
    last = (sums.vectors - 1) * numbers.lanes
    mask = code.first_lanes(pixels - last, numbers.lanes) if numbers.target.masks else None
    for r in range(sums.rows):
        with code.when(code.index(r) < present):
            bias = code.splat(biases.load(r), numbers.lanes)
            for v, held in enumerate(sums.row(r)):
                at = results + (stride * r + v * numbers.lanes)
                count = pixels - last if v == sums.vectors - 1 and mask is not None else None
                value = numbers.narrow(code, finished(code, numbers, code.add(held, bias), at, count))
                if v == sums.vectors - 1 and mask is not None:
                    code.masked_store(value, at, mask, numbers.lanes)
                else:
                    at.store(value)


def define_streams_microkernel(
    module: ir.Module, numbers: Numbers, rows: int, vectors: int, width: int
) -> ir.Function:
    """``tile[r][x] (+)= sum_k slab[offsets[r] + k] * panel[k][x]``.

    Arguments: slab, offsets (bytes, one per row), panel, number of k, tile, 1 if the tile starts from
    zero. Each row streams its own stretch of the slab; the panel is ``width`` wide.
    """
    code = define(module, f"accumulate_{rows}x{vectors}", [POINTER, POINTER, POINTER, I64, POINTER, I64])
    slab, offsets = code.pointer(0, numbers.computed), code.pointer(1, I64)
    panel, count = code.pointer(2, numbers.computed), code.argument(3)
    tile, first = code.pointer(4, numbers.computed), code.argument(5).equals(1)
    streams = [slab.moved_bytes(offsets.read_index(r)) for r in range(rows)]
    sums = Sums(code, numbers, rows, vectors, width)
    with code.loop(0, count) as k:
        sums.add_products([stream + k for stream in streams], panel + k * width)
    sums.flush(tile, first)
    code.done()
    return code.function


def define_lines_microkernel(
    module: ir.Module, numbers: Numbers, rows: int, vectors: int, width: int
) -> ir.Function:
    """``tile[r][x] (+)= sum over lines and k of source[streams[r] + line.a + k] * second[line.b + k][x]``.

    Arguments: source, streams (bytes, one per row), second operand, lines (pairs of byte offsets), tile, what
    is read next (`AheadList`), results; number of lines, pixels of a line, bytes from one pixel to the next
    in the source and in the second operand, 1 if the tile starts from zero, elements from a row of results
    to the next, rows that are finished: they are written to the results, others to the tile.
    """
    code = define(module, f"accumulate_{rows}x{vectors}", [POINTER] * 7 + [I64] * 7)
    source, streams = code.pointer(0, numbers.computed), code.pointer(1, I64)
    second, lines = code.pointer(2, numbers.computed), code.pointer(3, I64)
    tile, results = code.pointer(4, numbers.computed), code.pointer(6, numbers.computed)
    count, pixels, step, second_step, first, result_step, finished_rows = (
        code.argument(n) for n in range(7, 14)
    )
    sums, ahead = Sums(code, numbers, rows, vectors, width), Ahead(code, code.pointer(5, I64))
    with code.loop(0, count) as line:
        begin = source.moved_bytes(lines.read_index(line * 2))
        scalars = [begin.moved_bytes(streams.read_index(r)) for r in range(rows)]
        beside = second.moved_bytes(lines.read_index(line * 2 + 1))
        moved, beside_moved = code.variable(0), code.variable(0)
        with code.loop(0, pixels):
            # First, for its branch not to lie between loads and products: all would be held in registers.
            ahead.step()
            at = moved.now
            sums.add_products([scalar.moved_bytes(at) for scalar in scalars],
                              beside.moved_bytes(beside_moved.now))  # fmt: skip
            moved.become(at + step)
            beside_moved.become(beside_moved.now + second_step)
    ahead.leave()
    to = []
    for r in range(rows):
        here = code.builder.select(finished_rows > r, (results + result_step * r).raw, (tile + r * width).raw)
        to.append(Pointer(code, here, numbers.computed))
    sums.flush(tile, first.equals(1), to)
    code.done()
    return code.function


def define_dot_microkernel(module: ir.Module, numbers: Numbers, rows: int, columns: int) -> ir.Function:
    """``tile[r][c] (+)= sum_k panel[r][k] * slab[offsets[c] + k]``, the lanes of a register being steps of k.

    Arguments: slab, offsets (bytes, one per column), panel, bytes of a panel row, number of k, tile, 1
    if the tile starts from zero. A panel row is zero up to a whole register; the slab may be anything
    past the last k, and is not looked at.
    """
    code = define(module, f"dot_{rows}x{columns}", [POINTER, POINTER, POINTER, I64, I64, POINTER, I64])
    lanes = numbers.lanes
    slab, offsets = code.pointer(0, numbers.computed), code.pointer(1, I64)
    panel, pitch, count = code.pointer(2, numbers.computed), code.argument(3), code.argument(4)
    tile, first = code.pointer(5, numbers.computed), code.argument(6).equals(1)
    streams = [slab.moved_bytes(offsets.read_index(c)) for c in range(columns)]
    lines = [panel.moved_bytes(pitch * r) for r in range(rows)]
    sums = [Variable(code, code.zero(numbers.vector)) for _ in range(rows * columns)]

    def step(k: Int, mask: ir.Value | None) -> None:
        left = [line.load(k, lanes) for line in lines]
        for c, stream in enumerate(streams):
            right = stream.load(k, lanes)
            if mask is not None:
                right = code.builder.select(mask, right, code.zero(numbers.vector))
            for r in range(rows):
                held = sums[r * columns + c]
                held.set(code.multiply_add(left[r], right, held.get()))

    whole = count - count % lanes
    with code.loop(0, whole, lanes) as k:
        step(k, None)
    with code.when(whole < count):
        step(whole, code.first_lanes(count - whole, lanes))
    for number, held in enumerate(sums):
        before = code.builder.select(first, code.zero(numbers.computed), tile.load(number))
        tile.store(code.add(before, code.sum_of_lanes(held.get())), number)
    code.done()
    return code.function
