"""Lines of depthwise results: a register tile is some pixels of a block of channels."""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.descriptions import DEPTHWISE_TILES
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.numbers import Numbers


def define_multiply_line(module: ir.Module, numbers: Numbers, stride: int, *, straight: bool) -> ir.Function:
    """A line of results: ``out[p] = bias + sum over (i, k) of weight[i][k] * slab[i][p * stride + k]``.

    Arguments: slab, weights, bias, out; row taps, column taps; bytes in the slab from one row tap, column
    tap and result to the next (``stride``, in registers, stands for the last unless it is 0); bytes of
    the weights from one row tap and column tap to the next; elements from one result to the next; number
    of results; channels present; row taps of a stretch. ``straight`` results go to their place in the
    target; others are whole registers, of which up to a tile is written past the last.
    """
    code = define(module, "multiply_line", [POINTER] * 4 + [I64] * 11)
    slab, weights, bias = (code.pointer(n, numbers.computed) for n in range(3))
    out = code.pointer(3, numbers.stored if straight else numbers.computed)
    rows, taps, row_bytes, tap_bytes, result_bytes = (code.argument(n) for n in range(4, 9))
    weight_row_bytes, weight_tap_bytes, step, count, present, stretch = (
        code.argument(n) for n in range(9, 15)
    )
    lanes, item = numbers.lanes, numbers.element.compute_bytes
    start = bias.load(0, lanes)
    spilled = code.stack(numbers.computed, DEPTHWISE_TILES[0][0] * lanes)

    def tile(size: int, done: Int) -> None:
        begin = slab.moved_bytes(done * (stride * lanes * item if stride else result_bytes))
        sums = [Variable(code, start) for _ in range(size)]
        with code.loop(0, rows, stretch) as first:
            with code.when(first > 0):
                for number, held in enumerate(sums):
                    spilled.store(held.get(), number * lanes)
                    held.set(code.zero(numbers.vector))
            with code.loop(first, (first + stretch).minimum(rows)) as i, code.loop(0, taps) as k:
                weight = weights.moved_bytes(i * weight_row_bytes + k * weight_tap_bytes).load(0, lanes)
                pixels = begin.moved_bytes(i * row_bytes + k * tap_bytes)
                for number, held in enumerate(sums):
                    pixel = (
                        pixels.load(number * stride * lanes, lanes)
                        if stride
                        else pixels.moved_bytes(result_bytes * number).load(0, lanes)
                    )
                    held.set(code.multiply_add(pixel, weight, held.get()))
            with code.when(first > 0):
                for number, held in enumerate(sums):
                    held.set(code.add(held.get(), spilled.load(number * lanes, lanes)))
        _finish(code, numbers, [held.get() for held in sums], out + done * step, step, count - done, present,
                spilled, straight=straight)  # fmt: skip

    done = code.variable(0)
    with code.repeat_while(lambda: done.now < count):
        begin = done.now
        left = count - begin
        most: Int | None = None
        for size, least in DEPTHWISE_TILES:
            wanted = left >= least
            if most is not None:
                wanted = code.both(wanted, left < most)
            with code.when(wanted):
                tile(size, begin)
                done.become(begin + size)
            most = code.index(least)
    code.done()
    return code.function


def _finish(
    code: Code,
    numbers: Numbers,
    sums: list[ir.Value],
    out: Pointer,
    step: Int,
    left: Int,
    present: Int,
    spilled: Pointer,
    *,
    straight: bool,
) -> None:
    """Write a tile of sums: all of its lanes and pixels, or those that are results."""
    lanes = numbers.lanes
    if not straight:
        for number, value in enumerate(sums):
            out.store(value, step * number)
        return
    whole = code.both(left >= len(sums), present.equals(lanes))
    with code.either(whole) as (full, partial):
        with full:
            for number, value in enumerate(sums):
                numbers.store(code, value, out, step * number)
        with partial:
            for number, value in enumerate(sums):
                spilled.store(value, number * lanes)
            with code.loop(0, left.minimum(len(sums))) as pixel:
                at = out + pixel * step
                if numbers.target.masks:
                    value = numbers.narrow(code, spilled.load(pixel * lanes, lanes))
                    code.masked_store(value, at, code.first_lanes(present, lanes), lanes)
                else:
                    with code.loop(0, present) as lane:
                        numbers.store(code, spilled.load(pixel * lanes + lane), at, lane)
