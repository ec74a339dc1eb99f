"""Registers whose lanes are channels → results that lie plane by plane."""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.ir import I64, POINTER, Int, define, transpose
from tatamu.engine.kernels.numbers import Numbers


def define_store_planes(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Round ``buffer[line][pixel][lane]`` and write it to results a constant step apart.

    Arguments: buffer, target (at the first channel, line and pixel), channels present, lines, pixels of a
    line, then the target's elements from one channel, line and pixel to the next.
    """
    code = define(module, "store_planes", [POINTER] * 2 + [I64] * 6)
    buffer, target = code.pointer(0, numbers.computed), code.pointer(1, numbers.stored)
    present, lines, pixels, stride_c, stride_h, step = (code.argument(n) for n in range(2, 8))
    lanes = numbers.lanes

    def block(line: Int, x: Int, *, partial: bool) -> None:
        held = [buffer.load((line * pixels + x + pixel) * lanes, lanes) for pixel in range(lanes)]
        at = target + (line * stride_h + x)
        for lane, turned in enumerate(transpose(code, held)):
            with code.when(present > lane):
                place, count = at + stride_c * lane, pixels - x if partial else None
                stored = numbers.narrow(code, finished(code, numbers, turned, place, count))
                if count is not None:
                    code.masked_store(stored, place, code.first_lanes(count, lanes), lanes)
                else:
                    place.store(stored)

    with code.loop(0, lines) as line:
        begin = code.variable(0)
        with code.when(step.equals(1)):
            whole = pixels - pixels % lanes
            with code.loop(0, whole, lanes) as x:
                block(line, x, partial=False)
            begin.become(whole)
            if numbers.target.masks:
                with code.when(whole < pixels):
                    block(line, whole, partial=True)
                begin.become(pixels)
        with code.loop(begin.now, pixels) as x, code.loop(0, present) as lane:
            value = buffer.load((line * pixels + x) * lanes + lane)
            at = target + (line * stride_h + x * step + lane * stride_c)
            numbers.store(code, finished(code, numbers, value, at), at)
    code.done()
    return code.function
