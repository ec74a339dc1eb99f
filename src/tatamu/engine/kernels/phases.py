"""Stride phases as result channels: how their weights are packed and where their results go.

A result channel of a phase is ``m = (channel, phase down, phase across)`` where planes are written, or
``(phase down, phase across, channel)`` where channels lie side by side: both end in a run of results that
lie side by side in the target.
"""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.planar_store import runs


def define_pack_phases(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write ``panel[channel][tap][lane]`` of a register of result channels; zeros where there is no weight.

    Arguments: those of `define_pack_weights`; the first row is a multiple of the lanes.
    """
    lanes = numbers.lanes
    code = define(module, "pack_phases", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, first, channels = (code.argument(n) for n in range(4, 7))
    taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    registers = (job[Word.M] + (lanes - 1)) // lanes
    with code.loop(0, channels) as c, code.loop(0, taps) as t:
        begin = weight + (first + c) * job[Word.WEIGHT_C]
        target = panel + (c * taps + t) * lanes
        register = t * registers + row0 // lanes
        run = job.table.read_index(job[Word.WEIGHT_RUN_TABLE] + register)
        with code.either(run >= 0) as (together, apart):
            with together:
                target.store(numbers.load(code, begin, run, lanes))
            with apart:
                for lane in range(lanes):
                    entry = job[Word.WEIGHT_TAP_TABLE] + register * lanes + lane
                    place = job.table.read_index(entry)
                    value = numbers.load(code, begin, place.maximum(0))
                    target.store(code.builder.select(place < 0, code.zero(numbers.computed), value), lane)
    code.done()
    return code.function


def define_store_phases(module: ir.Module, numbers: Numbers, vectors: int) -> ir.Function:
    """Write up to ``vectors`` registers of result channels of some pixels of a task.

    Arguments: those of `define_store_channels`; there are no biases, and no ending.
    """
    lanes = numbers.lanes
    code = define(module, "store_phases", [POINTER] * 4 + [I64] * 6)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    tiles, target = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    m, across, first, past, row0, rows = (code.argument(n) for n in range(4, 10))
    room = code.stack(numbers.stored, vectors * lanes)
    unit, phases = job[Word.TARGET_W], job[Word.PHASES_H]
    run = job[Word.PHASES_W] * unit
    with runs(code, first, past, job[Word.GRID_W]) as (at_row, x, count, done), code.loop(0, count) as n:
        sums = tiles + (done + n) * lanes
        with code.loop(0, across, lanes) as lane:
            value = sums.load(lane * job[Word.TILE_PITCH], lanes)
            room.store(numbers.narrow(code, value), lane)
        y0 = (row0 + at_row % rows) * phases + job[Word.FIRST_H]
        x0 = (x + n) * job[Word.PHASES_W] + job[Word.FIRST_W]
        low = code.index(0).maximum(0 - x0) * unit
        high = job[Word.PHASES_W].minimum(job[Word.RESULT_W] - x0) * unit
        line = target + ((at_row // rows) * job[Word.TARGET_N] + x0 * unit)
        with code.loop(m // run, (m + across + run - 1) // run) as r:
            y, before = y0 + r % phases, r * run - m
            begin, end = low.maximum(0 - before), high.minimum(across - before)
            inside = code.both(code.both(y >= 0, y < job[Word.RESULT_H]), begin < end)
            with code.when(inside):
                at = line + ((r // phases) * job[Word.TARGET_C] + y * job[Word.TARGET_H])
                _copy(code, numbers, at + begin, room + (before + begin), end - begin)
    code.done()
    return code.function


def _copy(code: Code, numbers: Numbers, target: Pointer, source: Pointer, count: Int) -> None:
    """Copy stored elements and touch no other."""
    lanes = numbers.lanes
    if numbers.target.masks:
        with code.loop(0, count, lanes) as k:
            mask = code.first_lanes(count - k, lanes)
            code.masked_store(code.masked_load(source + k, mask, lanes), target + k, mask, lanes)
        return
    with code.loop(0, count) as k:
        target.store(source.load(k), k)
