"""The gradients of input and weight of a fully connected layer: one product, read and written in place.

result[i][k] = sum over j of factor[i][j] * lines[j][k]

k counts through (channel, row, column) in the order in which result and lines have them in memory. For the
gradient of the input i are images, j output channels and the lines the weight; for that of the weight i are
output channels, j images and the lines the input. The factors are the gradient of the output.
"""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import STRETCH, FullyConnectedGradientKernel
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.fully_connected import reader_of_rests
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.target import Target


def build(kernel: FullyConnectedGradientKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    lanes = numbers.lanes
    tiles = {
        rows: [(v, _define_tile(module, numbers, rows, v)) for v in widths]
        for rows, widths in kernel.tiles(target).items()
    }
    rests = {rows: _define_tile(module, numbers, rows, 1, partial=True) for rows in tiles}
    tallest = max(tiles)

    def task(code: Code, job: Job, arguments: Arguments, _shared: Pointer, _: Pointer, task: Int) -> None:
        m_block, task = task % job[Word.M_BLOCKS], task // job[Word.M_BLOCKS]
        block, group = task % job[Word.BLOCKS], task // job[Word.BLOCKS]
        first, second = arguments.source.of(numbers.stored), arguments.second.of(numbers.stored)
        factors, lines = (second, first) if kernel.of_weight else (first, second)
        factors += group * job[Word.WEIGHT_G]
        lines += group * job[Word.SOURCE_G]
        result = arguments.target.of(numbers.stored) + group * job[Word.TARGET_G]
        row0 = m_block * job[Word.M_BLOCK]
        rows_end = (row0 + job[Word.M_BLOCK]).minimum(job[Word.M])
        begin = block * job[Word.BLOCK_W]
        end = (begin + job[Word.BLOCK_W]).minimum(job[Word.GRID_W])

        def compute(rows: int) -> None:
            at = code.variable(begin)
            for v, tile in tiles[rows]:
                width = v * lanes
                whole = at.now + (end - at.now) // width * width
                with code.loop(at.now, whole, width) as k, code.loop(row0, rows_end, rows) as row:
                    code.call(tile, job.words, factors, lines, result, row, rows_end - row, k, end - k)
                at.become(whole)
            with code.when(at.now < end), code.loop(row0, rows_end, rows) as row:
                left = end - at.now
                code.call(rests[rows], job.words, factors, lines, result, row, rows_end - row, at.now, left)

        with code.either(job[Word.M].equals(1)) as (single, several):
            with single:
                compute(1)
            with several:
                compute(tallest)

    define_entry(module, kernel.name(target), task)
    return module


def _define_tile(
    module: ir.Module, numbers: Numbers, rows: int, vectors: int, *, partial: bool = False
) -> ir.Function:
    """Finish ``rows`` x ``vectors`` registers of results; of a ``partial`` one the lanes that there are.

    Arguments: job, factors, lines, results (of this group), first row, rows present, first k, and how many
    there are. The last row present stands in for absent ones, which are not written.
    """
    name = f"tile_{rows}x{'rest' if partial else vectors}"
    code = define(module, name, [POINTER] * 4 + [I64] * 4)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    factors, lines, result = (code.pointer(n, numbers.stored) for n in range(1, 4))
    row0, present, k0, left = (code.argument(n) for n in range(4, 8))
    present, count, lanes = present.minimum(rows), job[Word.CHANNELS], numbers.lanes
    streams = [factors + (row0 + (present - 1).minimum(r)) * job[Word.WEIGHT_M] for r in range(rows)]
    zero = code.zero(numbers.vector)
    totals = code.stack(numbers.computed, rows * vectors * lanes)
    sums = [Variable(code, zero) for _ in range(rows * vectors)]
    for number in range(rows * vectors):
        totals.store(zero, number * lanes)
    read = reader_of_rests(code, numbers, code.index(0), left) if partial else None

    # Sums of sums: the rounding error grows with the root of a stretch, not of the whole reduction.
    with code.loop(0, count, STRETCH) as begin:
        with code.loop(begin, (begin + STRETCH).minimum(count)) as j:
            line = lines + (j * job[Word.SOURCE_C] + k0)
            columns = [
                read(line) if read else numbers.load(code, line, v * lanes, lanes) for v in range(vectors)
            ]
            for r, stream in enumerate(streams):
                factor = code.splat(numbers.load(code, stream, j * job[Word.WEIGHT_C]), lanes)
                for v, column in enumerate(columns):
                    held = sums[r * vectors + v]
                    held.set(code.multiply_add(factor, column, held.get()))
        for number, held in enumerate(sums):
            totals.store(code.add(totals.load(number * lanes, lanes), held.get()), number * lanes)
            held.set(zero)
    with code.loop(0, present) as row:
        at = result + ((row0 + row) * job[Word.TARGET_C] + k0)
        ready = totals + row * vectors * lanes
        if partial:
            with code.loop(0, left) as x:
                numbers.store(code, ready.load(x), at, x)
        else:
            for v in range(vectors):
                numbers.store(code, ready.load(v * lanes, lanes), at, v * lanes)
    code.done()
    return code.function
