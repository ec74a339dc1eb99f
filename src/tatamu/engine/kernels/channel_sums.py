"""Grad bias: the sum of each channel over images and pixels."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import ChannelSumsKernel
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import Code, Int, Pointer, Variable
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, Sign, channel_offset
from tatamu.engine.target import Target


def build(kernel: ChannelSumsKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    write = _interleaved if kernel.interleaved else _planar

    def task(
        code: Code, job: Job, arguments: Arguments, _shared: Pointer, _scratch: Pointer, task: Int
    ) -> None:
        source, result = arguments.source.of(numbers.stored), arguments.target.of(numbers.stored)
        write(code, numbers, job, source, result, task)

    define_entry(module, kernel.name(target), task)
    return module


def _planar(
    code: Code,
    numbers: Numbers,
    job: Job,
    source: Pointer,
    result: Pointer,
    channel: Int,
) -> None:
    lanes, step = numbers.lanes, job[Word.SOURCE_W]
    sign = Sign(code, numbers, job[Word.SOURCE_NEGATED])
    total = Variable(code, code.zero(numbers.computed))
    with code.loop(0, job[Word.IMAGES]) as image, code.loop(0, job[Word.GRID_H]) as row:
        line = source + (
            image * job[Word.SOURCE_N]
            + row * job[Word.SOURCE_H]
            + channel_offset(numbers, channel, job[Word.SOURCE_C])
        )
        wide = Variable(code, code.zero(numbers.vector))
        narrow = Variable(code, code.zero(numbers.computed))
        whole = code.select(step.equals(1), job[Word.GRID_W] - job[Word.GRID_W] % lanes, 0)
        with code.loop(0, whole, lanes) as x:
            wide.set(code.add(wide.get(), numbers.load(code, line, x, lanes)))
        with code.loop(whole, job[Word.GRID_W]) as x:
            narrow.set(code.add(narrow.get(), numbers.load(code, line, x * step)))
        total.set(code.add(total.get(), code.add(narrow.get(), code.sum_of_lanes(wide.get()))))
    numbers.store(code, sign.apply(total.get(), channel), result, channel)


def _interleaved(
    code: Code,
    numbers: Numbers,
    job: Job,
    source: Pointer,
    result: Pointer,
    block: Int,
) -> None:
    lanes = numbers.lanes
    sign = Sign(code, numbers, job[Word.SOURCE_NEGATED])
    begin = block * lanes
    present = (job[Word.CHANNELS] - begin).minimum(lanes)
    sums = code.stack(numbers.computed, lanes)
    rows = code.stack(numbers.computed, lanes)
    sums.store(code.zero(numbers.vector))
    with code.loop(0, job[Word.IMAGES]) as image, code.loop(0, job[Word.GRID_H]) as row:
        line = source + (image * job[Word.SOURCE_N] + row * job[Word.SOURCE_H] + begin)
        with code.either(present.equals(lanes)) as (full, partial):
            with full:
                held = Variable(code, code.zero(numbers.vector))
                with code.loop(0, job[Word.GRID_W]) as x:
                    held.set(code.add(held.get(), numbers.load(code, line, x * job[Word.SOURCE_W], lanes)))
                rows.store(held.get())
            with partial, code.loop(0, present) as c:
                one = Variable(code, code.zero(numbers.computed))
                with code.loop(0, job[Word.GRID_W]) as x:
                    one.set(code.add(one.get(), numbers.load(code, line, x * job[Word.SOURCE_W] + c)))
                rows.store(one.get(), c)
        with code.loop(0, present) as c:
            sums.store(code.add(sums.load(c), rows.load(c)), c)
    with code.loop(0, present) as c:
        numbers.store(code, sign.apply(sums.load(c), begin + c), result, begin + c)
