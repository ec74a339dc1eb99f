"""The register tile: sums of products of a panel of scalars with vectors.

Panels, tables and the tile are drawn in `contract.md`.
"""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.numbers import Numbers


def _flush(
    code: Code,
    numbers: Numbers,
    tile: Pointer,
    first: ir.Value,
    sums: list[Variable],
    vectors: int,
    width: int,
) -> None:
    """Add the sums to the tile, or begin it with them where ``first`` holds.

    Sums of sums: the rounding error grows with the root of a stretch, not of the whole reduction.
    """
    for number, held in enumerate(sums):
        place = (number // vectors) * width + (number % vectors) * numbers.lanes
        before = code.builder.select(first, code.zero(numbers.vector), tile.load(place, numbers.lanes))
        tile.store(code.add(before, held.get()), place)


def define_table_microkernel(
    module: ir.Module, numbers: Numbers, rows: int, vectors: int, width: int, *, packed: bool
) -> ir.Function:
    """``tile[r][x] (+)= sum_k weights[r][table[k].a] * slab[table[k].b + x]``.

    Arguments: weights, slab, table (pairs of byte offsets), number of pairs, tile, 1 if the tile starts
    from zero, bytes from one row of weights to the next, rows present. ``rows`` x ``vectors`` registers
    hold the sums; ``width`` is the tile's row length. ``packed`` weights are panels whose ``rows`` lie
    side by side; others are read where they are, the last row present standing in for absent ones.
    """
    arguments = [POINTER, POINTER, POINTER, I64, POINTER, I64, I64, I64]
    code = define(module, f"multiply_{rows}x{vectors}", arguments)
    weights, slab = code.pointer(0, numbers.computed), code.pointer(1, numbers.computed)
    table, count = code.pointer(2, I64), code.argument(3)
    tile, first = code.pointer(4, numbers.computed), code.argument(5).equals(1)
    row_bytes, last_row = code.argument(6), code.argument(7) - 1
    if packed:
        lines = [weights + r for r in range(rows)]
    else:
        lines = [weights.moved_bytes(last_row.minimum(r) * row_bytes) for r in range(rows)]
    sums = [Variable(code, code.zero(numbers.vector)) for _ in range(rows * vectors)]
    with code.loop(0, count) as k:
        a = table.read_index(k * 2)
        b = slab.moved_bytes(table.read_index(k * 2 + 1))
        columns = [b.load(v * numbers.lanes, numbers.lanes) for v in range(vectors)]
        for r, line in enumerate(lines):
            scalar = code.splat(line.moved_bytes(a).load(), numbers.lanes)
            for v in range(vectors):
                held = sums[r * vectors + v]
                held.set(code.multiply_add(scalar, columns[v], held.get()))
    _flush(code, numbers, tile, first, sums, vectors, width)
    code.done()
    return code.function


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
    sums = [Variable(code, code.zero(numbers.vector)) for _ in range(rows * vectors)]
    with code.loop(0, count) as k:
        b = panel + k * width
        columns = [b.load(v * numbers.lanes, numbers.lanes) for v in range(vectors)]
        for r in range(rows):
            scalar = code.splat(streams[r].load(k), numbers.lanes)
            for v in range(vectors):
                held = sums[r * vectors + v]
                held.set(code.multiply_add(scalar, columns[v], held.get()))
    _flush(code, numbers, tile, first, sums, vectors, width)
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
