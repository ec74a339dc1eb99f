"""Winograd's transforms of tiles, there and back. Lanes are channels throughout."""

from __future__ import annotations

from tatamu.engine.cook_toom import Filtering, Matrix
from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Index, Int, define
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.winograd.linear_maps import apply_2d

Filters = tuple[Filtering, Filtering]
"""Of the rows and of the columns."""


def column_of(tile: Int, width: int, step: Index) -> Int:
    """The first column of a tile of ``width`` columns, ``step`` apart: so many tiles begin side by side."""
    if isinstance(step, int):
        return tile * (width * step)
    return (tile // step) * (step * width) + tile % step


def define_transform_tiles(
    module: ir.Module,
    numbers: Numbers,
    name: str,
    matrices: tuple[Matrix, Matrix],
    advances: tuple[int, int],
    steps: tuple[int, int],
    *,
    dilated: bool,
) -> ir.Function:
    """``tiles[product][tile][channel] = P d Qᵀ`` for a grid of tiles d of a slab, ``advances`` pixels apart.

    The pixels of a tile are ``steps`` apart. ``matrices`` are P and Q: Bᵀ for the input, or G where the
    gradient of the output stands for the weight. Arguments: slab, tiles (at the first tile and channel), rows
    and columns of the grid, elements of a slab row, of a product, of a tile; from a column of a tile to the
    next where it is ``dilated``, else 1.
    """
    code = define(module, name, [POINTER, POINTER] + [I64] * 6)
    slab, tiles = code.pointer(0, numbers.computed), code.pointer(1, numbers.computed)
    rows, columns, pitch, product, tile = (code.argument(n) for n in range(2, 7))
    lanes, (down, across) = numbers.lanes, matrices
    step: Index = code.argument(7) if dilated else 1
    with code.loop(0, rows) as y, code.loop(0, columns) as x:
        begin = slab + (y * pitch * advances[0] + column_of(x, advances[1], step) * lanes)
        lines = [begin + pitch * (i * steps[0]) for i in range(len(down[0]))]
        result = tiles + (y * columns + x) * tile
        beside = steps[1] * lanes
        done = apply_2d(code, down, across, lambda i, j: lines[i].load(step * (j * beside), lanes))
        for i, line in enumerate(done):
            for j, value in enumerate(line):
                result.store(value, product * (i * len(across) + j))
    code.done()
    return code.function


def define_transform_result(
    module: ir.Module, numbers: Numbers, filters: Filters, *, dilated: bool
) -> ir.Function:
    """``buffer[row][column][lane] = Aᵀ m A`` for a row of tiles side by side; says which are not finite.

    Arguments: sums (at the first tile and lane), buffer, flags, tiles, elements of a product, of a tile, of a
    buffer row; from a column of a tile to the next where it is ``dilated``, else 1. ``flags[tile]`` becomes 0
    where all results of the tile are finite.
    """
    code = define(module, "transform_result", [POINTER] * 3 + [I64] * 5)
    sums, buffer = code.pointer(0, numbers.computed), code.pointer(1, numbers.computed)
    flags = code.pointer(2, I64)
    count, product, tile, pitch = (code.argument(n) for n in range(3, 7))
    lanes, (down, across) = numbers.lanes, filters
    zero = code.zero(numbers.vector)
    step: Index = code.argument(7) if dilated else 1
    with code.loop(0, count) as t:
        begin, result = sums + t * tile, buffer + column_of(t, across.outputs, step) * lanes
        done = apply_2d(
            code,
            down.output,
            across.output,
            lambda i, j: begin.load(product * (i * across.products + j), lanes),
        )
        check = zero
        for i, line in enumerate(done):
            for j, value in enumerate(line):
                result.store(value, pitch * i + step * (j * lanes))
                check = code.multiply_add(value, zero, check)  # Zero times what is not finite is NaN.
        unordered = code.builder.unordered(check, check)
        bits = code.builder.bitcast(unordered, ir.IntType(lanes))
        flags.store(code.builder.zext(bits, I64), t)
    code.done()
    return code.function
