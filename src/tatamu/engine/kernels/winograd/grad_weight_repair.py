"""Gradients of weights that are not all finite, computed again directly; see `repair.py` for why."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Index, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.winograd.descriptions import WinogradGradWeightKernel


def define_grad_weight_repair(
    module: ir.Module, numbers: Numbers, kernel: WinogradGradWeightKernel, pack: ir.Function
) -> ir.Function:
    """``taps[channel][tap][lane]`` for a register of channels and one of result channels.

    Arguments: table, job (that of the gradient of the output follows it), source (of this group, at the first
    channel), channels, gradient of the output (likewise), result channels, a room for a slab of either, taps.
    """
    code = define(module, "repair", [POINTER] * 3 + [I64, POINTER, I64] + [POINTER] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    step: Index = job[Word.COLUMN_STEP] if kernel.dilated else 1
    source, channels = code.pointer(2, numbers.stored), code.argument(3)
    second, present = code.pointer(4, numbers.stored), code.argument(5)
    slab, grads, taps = (code.pointer(n, numbers.computed) for n in range(6, 9))
    lanes, (kernel_h, kernel_w), (mh, mw) = numbers.lanes, kernel.taps, kernel.tile
    count = kernel_h * kernel_w
    with code.loop(0, channels * count) as number:
        taps.store(code.zero(numbers.vector), number * lanes)
    # A strip of one row of tiles at a time, so wide as the rooms were made for.
    width = job[Word.BLOCK_W] * mw
    with (
        code.loop(0, job[Word.IMAGES]) as image,
        code.loop(0, job[Word.ROW_PHASES]) as phase,
        code.loop(0, job[Word.TILES_H] * mh, mh) as y,
        code.loop(0, job[Word.GRID_W], width) as x,
    ):
        of_source = job.moved(phase * (2 * int(Word.LENGTH)))
        of_second = of_source.moved(int(Word.LENGTH))
        rows = (of_source[Word.GRID_H] - y).minimum(mh).maximum(0)
        columns = (job[Word.GRID_W] - x).minimum(width)
        pitch = columns + step * (kernel_w - 1)
        pixels = source + (image * of_source[Word.SOURCE_N] + of_source[Word.SOURCE_BASE])
        code.call(
            pack, job.table, of_source.words, slab, pixels, channels, y, x, rows + (kernel_h - 1), pitch
        )
        pixels = second + (image * of_second[Word.SOURCE_N] + of_second[Word.SOURCE_BASE])
        code.call(pack, job.table, of_second.words, grads, pixels, present, y, x, rows, columns)
        with code.loop(0, channels) as c, code.loop(0, kernel_h) as u, code.loop(0, kernel_w) as v:
            total = Variable(code, code.zero(numbers.vector))
            with code.loop(0, rows) as i, code.loop(0, columns) as j:
                pixel = slab.load(((i + u) * pitch + (j + v * step)) * lanes + c)
                grad = grads.load((i * columns + j) * lanes, lanes)
                total.set(code.multiply_add(code.splat(pixel, lanes), grad, total.get()))
            at = (c * count + u * kernel_w + v) * lanes
            taps.store(code.add(taps.load(at, lanes), total.get()), at)
    code.done()
    return code.function
