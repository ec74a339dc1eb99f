"""Some channels of an image → ``slab[pixel][channel]``, each pixel's side by side."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


def define_pack_pixels(module: ir.Module, numbers: Numbers, interleaved: bool) -> ir.Function:
    """Write all pixels of some channels, ``PITCH`` elements from one pixel to the next.

    Arguments: job, slab, source (at the image and the first channel), channels. What lies past the last
    channel, up to a whole register of them, may be anything.
    """
    code = define(module, "pack_pixels", [POINTER] * 3 + [I64])
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    slab, source = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    channels, rows, columns = code.argument(3), job[Word.HEIGHT], job[Word.SLAB_COLUMNS]
    # Rows that follow one another are one. The step of a row of one pixel of a plane says nothing.
    step = job[Word.SOURCE_W] if interleaved else 1
    joined = job[Word.SOURCE_H].equals(columns * step)
    run = code.select(joined, rows * columns, columns)
    copy = _copy_pixels if interleaved else _turn_pixels
    with code.loop(0, code.select(joined, 1, rows)) as row:
        to, line = slab + row * columns * job[Word.PITCH], source + row * job[Word.SOURCE_H]
        copy(code, numbers, job, to, line, channels, run)
    code.done()
    return code.function


def _copy_pixels(
    code: Code, numbers: Numbers, job: Job, slab: Pointer, line: Pointer, channels: Int, run: Int
) -> None:
    """From channels that lie side by side; the last register of them overlaps the one before."""
    lanes = numbers.lanes
    with code.loop(0, run) as x:
        pixel, to = line + x * job[Word.SOURCE_W], slab + x * job[Word.PITCH]
        with code.either(channels >= lanes) as (registers, few):
            with registers, code.loop(0, channels, lanes) as c:
                at = c.minimum(channels - lanes)
                to.store(numbers.load(code, pixel, at, lanes), at)
            with few, code.loop(0, channels) as c:
                to.store(numbers.load(code, pixel, c), c)


def _turn_pixels(
    code: Code, numbers: Numbers, job: Job, slab: Pointer, line: Pointer, channels: Int, run: Int
) -> None:
    """From pixels that lie side by side, a square at a time; the last of a row overlaps the one before."""
    lanes, pitch, step = numbers.lanes, job[Word.PITCH], job[Word.SOURCE_C]
    with code.either(run >= lanes) as (squares, few):
        with squares, code.loop(0, channels, lanes) as c:
            planes = [line + (c + lane).minimum(channels - 1) * step for lane in range(lanes)]
            with code.loop(0, run, lanes) as x:
                at = x.minimum(run - lanes)
                held = [numbers.load(code, plane, at, lanes) for plane in planes]
                for number, pixel in enumerate(transpose(code, held)):
                    slab.store(pixel, (at + number) * pitch + c)
        with few, code.loop(0, channels) as c, code.loop(0, run) as x:
            slab.store(numbers.load(code, line, c * step + x), x * pitch + c)
