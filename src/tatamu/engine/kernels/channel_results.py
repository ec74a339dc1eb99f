"""Results whose lanes are channels → any layout: bias, rounding, edges."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


def define_store_channels(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Write ``buffer[row][column][lane]`` of finished sums to a rectangle of results.

    Arguments: job, buffer, target (at the rectangle's first result of the first channel), bias (at the
    first channel), channels present, rows, columns, elements of a buffer row. A whole register of pixels
    beyond the last column may be read from the buffer.
    """
    code = define(module, "store_channels", [POINTER] * 4 + [I64] * 4)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    buffer, target = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    bias = code.pointer(3, numbers.stored)
    present, rows, columns, pitch = (code.argument(n) for n in range(4, 8))
    biases = biases_in_lanes(code, numbers, job, bias, present)
    with code.loop(0, rows) as row:
        line, sums = target + row * job[Word.TARGET_H], buffer + row * pitch
        if interleaved:
            _store_pixels(code, numbers, line, sums, biases, columns, present, job[Word.TARGET_W])
        else:
            store_planes(code, numbers, job, line, sums, biases, columns, present)
    code.done()
    return code.function


def biases_in_lanes(code: Code, numbers: Numbers, job: Job, bias: Pointer, present: Int) -> ir.Value:
    """The biases of the channels in a register; zeros where there is none."""
    room = code.stack(numbers.computed, numbers.lanes)
    room.store(code.zero(numbers.vector))
    with code.when(job[Word.HAS_BIAS].equals(1)), code.loop(0, present) as lane:
        room.store(numbers.load(code, bias, lane * job[Word.BIAS_C]), lane)
    return room.load(0, numbers.lanes)


def _store_pixels(
    code: Code,
    numbers: Numbers,
    target: Pointer,
    sums: Pointer,
    biases: ir.Value,
    columns: Int,
    present: Int,
    step: Int,
) -> None:
    """A row whose channels lie side by side in memory as they do in registers."""
    lanes = numbers.lanes
    with code.either(present.equals(lanes)) as (full, partial):
        with full, code.loop(0, columns) as x:
            value, at = code.add(sums.load(x * lanes, lanes), biases), target + x * step
            numbers.store(code, finished(code, numbers, value, at), at)
        with partial, code.loop(0, columns) as x:
            value = code.add(sums.load(x * lanes, lanes), biases)
            _store_lanes(code, numbers, value, target + x * step, present)


def store_planes(
    code: Code,
    numbers: Numbers,
    job: Job,
    target: Pointer,
    sums: Pointer,
    biases: ir.Value,
    columns: Int,
    present: Int,
) -> None:
    """A row of each channel's plane: a register of pixels at a time, turned in registers."""
    lanes = numbers.lanes
    step = job[Word.TARGET_C]
    room = code.stack(numbers.computed, lanes * lanes)
    with code.loop(0, columns, lanes) as x:
        pixels = [code.add(sums.load((x + p) * lanes, lanes), biases) for p in range(lanes)]
        planes = transpose(code, pixels)
        count = (columns - x).minimum(lanes)
        whole = code.both(count.equals(lanes), present.equals(lanes))
        with code.either(whole) as (full, partial):
            with full:
                for number, plane in enumerate(planes):
                    at = target + (x + step * number)
                    numbers.store(code, finished(code, numbers, plane, at), at)
            with partial:
                for number, plane in enumerate(planes):
                    room.store(plane, number * lanes)
                with code.loop(0, present) as lane:
                    plane = room.load(lane * lanes, lanes)
                    _store_lanes(code, numbers, plane, target + (x + lane * step), count)


def _store_lanes(code: Code, numbers: Numbers, value: ir.Value, target: Pointer, count: Int) -> None:
    """Round and write the first ``count`` lanes alone."""
    lanes = numbers.lanes
    value = numbers.narrow(code, finished(code, numbers, value, target, count))
    if numbers.target.masks:
        code.masked_store(value, target, code.first_lanes(count, lanes), lanes)
        return
    held = Variable(code, value)
    for number in range(lanes):
        with code.when(count > number):
            target.store(code.lane(held.get(), number), number)
