"""Finished sums → results: bias, rounding, any layout."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, channel_offset
from tatamu.engine.kernels.permutation import transpose


def _store_run(
    code: Code, numbers: Numbers, target: Pointer, source: Pointer, bias: ir.Value, count: Int, step: Int
) -> None:
    """Add the bias to ``count`` sums, round them and write them ``step`` apart."""
    lanes = numbers.lanes
    begin = code.variable(0)
    with code.when(step.equals(1)):
        biases = code.splat(bias, lanes)
        whole = count - count % lanes
        with code.loop(0, whole, lanes) as x:
            at = target + x
            value = code.add(source.load(x, lanes), biases)
            numbers.store(code, finished(code, numbers, value, at), at)
        begin.become(whole)
        if numbers.target.masks:
            with code.when(whole < count):
                at, left = target + whole, count - whole
                value = code.add(source.load(whole, lanes), biases)
                value = numbers.narrow(code, finished(code, numbers, value, at, left))
                code.masked_store(value, at, code.first_lanes(left, lanes), lanes)
            begin.become(count)
    with code.loop(begin.now, count) as x:
        at = target + x * step
        numbers.store(code, finished(code, numbers, code.add(source.load(x), bias), at), at)


def define_epilogue(
    module: ir.Module, numbers: Numbers, rows: int, width: int, interleaved: bool
) -> ir.Function:
    """Write the tile ``tile[row][pixel]`` of finished sums to the results.

    Arguments: job, tile, target (of this image and group), biases (from the first row on), first row, rows
    present, first pixel within the block, pixels present, first result row and column of the block.
    """
    code = define(module, "epilogue", [POINTER] * 4 + [I64] * 6)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    tile, target = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    biases = code.pointer(3, numbers.computed)
    row0, present, pixel0, pixels, line0, column0 = (code.argument(n) for n in range(4, 10))
    run, period = job[Word.RUN], job[Word.PERIOD]
    step, stride_c = job[Word.TARGET_W], job[Word.TARGET_C]

    if interleaved:
        block = code.stack(numbers.computed, rows * numbers.lanes)
        bias = biases.load(0, rows)

    done = code.variable(0)
    with code.loop(pixel0 // period, (pixel0 + pixels + period - 1) // period) as line:
        column = (pixel0 + done.now) - line * period
        left = pixels - done.now
        count = (run - column).maximum(0).minimum(left)
        start = target + ((line0 + line) * job[Word.TARGET_H] + (column0 + column) * step)
        sums = tile + done.now
        if not interleaved:
            with code.loop(0, present) as row:
                at = start + channel_offset(numbers, row0 + row, stride_c)
                _store_run(code, numbers, at, sums + row * width, biases.load(row), count, step)
        else:
            with code.loop(0, count, numbers.lanes) as x:
                lines = [sums.load(x + r * width, numbers.lanes) for r in range(rows)]
                for number, pixel in enumerate(transpose(code, lines)):
                    block.store(code.add(pixel, bias), number * rows)
                with code.loop(0, (count - x).minimum(numbers.lanes)) as lane:
                    at = start + ((x + lane) * step + row0)
                    with code.either(present.equals(rows)) as (full, partial):
                        with full:
                            value = block.load(lane * rows, rows)
                            numbers.store(code, finished(code, numbers, value, at), at)
                        with partial, code.loop(0, present) as row:
                            value, place = block.load(lane * rows + row), at + row
                            numbers.store(code, finished(code, numbers, value, place), place)
        done.become(done.now + (period - column).minimum(left))
    code.done()
    return code.function
