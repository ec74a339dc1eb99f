"""Registers whose lanes are channels → results that lie channel by channel."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.ir import I64, POINTER, Int, define
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.permutation import transpose


def define_store_planes(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Round ``buffer[line][pixel][lane]`` and write it to results a constant step apart.

    Arguments: buffer, target (at the first line and pixel), a list of where each lane's results begin in it,
    lanes present, lines, pixels of a line, then the target's elements from one line and pixel to the next.
    Up to a register of pixels past the last of the buffer may be read.
    """
    code = define(module, "store_planes", [POINTER] * 3 + [I64] * 5)
    buffer, target = code.pointer(0, numbers.computed), code.pointer(1, numbers.stored)
    places = code.pointer(2, I64)
    present, lines, pixels, stride_h, step = (code.argument(n) for n in range(3, 8))
    lanes, masks = numbers.lanes, numbers.target.masks

    def block(line: Int, x: Int) -> None:
        held = [buffer.load((line * pixels + x + pixel) * lanes, lanes) for pixel in range(lanes)]
        at = target + (line * stride_h + x)
        mask = code.first_lanes(pixels - x, lanes) if masks else None
        for lane, turned in enumerate(transpose(code, held)):
            with code.when(present > lane):
                place, count = at + places.read_index(lane), pixels - x if masks else None
                stored = numbers.narrow(code, finished(code, numbers, turned, place, count))
                if mask is None:
                    place.store(stored)
                else:
                    code.masked_store(stored, place, mask, lanes)

    with code.loop(0, lines) as line:
        begin = code.variable(0)
        with code.when(step.equals(1)):
            whole = pixels if masks else pixels - pixels % lanes
            with code.loop(0, whole, lanes) as x:
                block(line, x)
            begin.become(whole)
        with code.loop(begin.now, pixels) as x, code.loop(0, present) as lane:
            value = buffer.load((line * pixels + x) * lanes + lane)
            at = target + (line * stride_h + x * step + places.read_index(lane))
            numbers.store(code, finished(code, numbers, value, at), at)
    code.done()
    return code.function
