"""Weights of a register of result channels → a panel whose lanes are those channels."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.channel_slab import define_planar_pixels
from tatamu.engine.kernels.ir import I64, POINTER, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job


def define_pack_lanes(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write ``panel[weight][lane]``: `WEIGHT_RUN` weights of each lane from each place that the table lists.

    Arguments: table, job, panel, weight (at the register's first), lanes present; the others become zeros.
    """
    pixels = define_planar_pixels(module, numbers)
    code = define(module, "pack_lanes", [POINTER] * 4 + [I64])
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    present = code.argument(4)
    lanes, run, none = numbers.lanes, job[Word.WEIGHT_RUN], code.index(0)
    # Lanes a constant step apart are turned where they lie.
    constant = job[Word.WEIGHT_M] > 0
    with code.loop(0, job[Word.PACKED_TAPS], run) as first:
        begin = weight + job.table.read_index(job[Word.WEIGHT_TAP_TABLE] + first // run)
        with code.either(constant) as (regular, irregular):
            with regular:
                at = panel + first * lanes
                code.call(pixels, at, begin, run, present, none, job[Word.WEIGHT_M], code.index(1), run, none)
            with irregular:
                at = panel + first * lanes
                code.fill_zero(at, run * lanes)
                with code.loop(0, present) as lane:
                    line = begin + job.table.read_index(job[Word.WEIGHT_LANE_TABLE] + lane)
                    with code.loop(0, run) as item:
                        at.store(numbers.load(code, line, item), item * lanes + lane)
    code.done()
    return code.function
