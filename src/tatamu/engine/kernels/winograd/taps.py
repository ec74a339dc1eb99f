"""Gradients of taps, their lanes result channels → the gradient of the weight."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


def define_scatter_taps(module: ir.Module, numbers: Numbers, taps: int) -> ir.Function:
    """Write ``room[channel][tap][lane]`` to the gradient, whose lanes are result channels.

    Arguments: table, job, room (for as many channels as there are lanes), target (at the first result channel
    and channel), channels, lanes present.
    """
    code = define(module, "scatter_taps", [POINTER] * 4 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    room, target = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    channels, present = code.argument(4), code.argument(5)
    lanes, places = numbers.lanes, job.table + job[Word.WEIGHT_TAP_TABLE]
    in_order, step = job[Word.WEIGHT_CONTIGUOUS].equals(1), job[Word.TARGET_C]
    with code.either(code.both(in_order, step.equals(taps))) as (run, others):
        with run:  # All taps of these channels are one stretch of memory, in order.
            count = channels * taps
            with code.loop(0, count, lanes) as k:
                held = [room.load((k + lane) * lanes, lanes) for lane in range(lanes)]
                _store_turned(code, numbers, job, target + k, held, (count - k).minimum(lanes), present)
        with others, code.loop(0, taps) as tap:
            line = target + places.read_index(tap)
            with code.either(step.equals(1)) as (beside, apart):
                with beside:
                    held = [room.load((tap + c * taps) * lanes, lanes) for c in range(lanes)]
                    _store_turned(code, numbers, job, line, held, channels, present)
                with apart, code.loop(0, present) as row, code.loop(0, channels) as channel:
                    value = room.load((channel * taps + tap) * lanes + row)
                    numbers.store(code, value, line, row * job[Word.TARGET_N] + channel * step)
    code.done()
    return code.function


def _store_turned(
    code: Code, numbers: Numbers, job: Job, target: Pointer, held: list[ir.Value], count: Int, present: Int
) -> None:
    """The first ``count`` registers, turned: each of the lanes present becomes a stretch of memory."""
    lanes = numbers.lanes
    turned = [numbers.narrow(code, line) for line in transpose(code, held)]
    if numbers.target.masks:
        mask = code.first_lanes(count, lanes)
        for lane, line in enumerate(turned):
            with code.when(present > lane):
                code.masked_store(line, target + job[Word.TARGET_N] * lane, mask, lanes)
        return
    with code.either(code.both(count.equals(lanes), present.equals(lanes))) as (whole, part):
        with whole:
            for lane, line in enumerate(turned):
                (target + job[Word.TARGET_N] * lane).store(line)
        with part:
            room = code.stack(numbers.stored, lanes * lanes)
            for lane, line in enumerate(turned):
                room.store(line, lane * lanes)
            with code.loop(0, present) as row, code.loop(0, count) as k:
                target.store(room.load(row * lanes + k), row * job[Word.TARGET_N] + k)
