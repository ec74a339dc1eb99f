"""Weights → Winograd's domain: the parallel phase before the convolution."""

from __future__ import annotations

from llvmlite import ir

from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define, transpose
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.winograd.linear_maps import apply_2d
from tatamu.engine.kernels.winograd.tiles import Filters


def define_transform_weight(
    module: ir.Module, numbers: Numbers, filters: Filters, width: int, gather: ir.Function
) -> ir.Function:
    """``panel[product][channel][x] = G g Gᵀ`` for ``width`` result channels x and some channels.

    Arguments: table, job, panel, weight (of this group), first result channel, first and last channel.
    Result channels past the last repeat it: what they give is dropped.
    """
    code = define(module, "transform_weight", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, begin, end = (code.argument(n) for n in range(4, 7))
    lanes, (down, across) = numbers.lanes, filters
    taps = down.taps * across.taps
    gathered = code.stack(numbers.computed, taps * lanes)
    product = job[Word.WEIGHT_PRODUCT]
    with code.loop(begin, end) as channel, code.loop(0, width, lanes) as x:
        at_channel = weight + channel * job[Word.WEIGHT_C]
        code.call(gather, job.table, job.words, gathered, at_channel, row0 + x)
        done = apply_2d(
            code,
            down.weight,
            across.weight,
            lambda i, j: gathered.load((i * across.taps + j) * lanes, lanes),
        )
        at = panel + (channel * width + x)
        for i, line in enumerate(done):
            for j, value in enumerate(line):
                at.store(value, product * (i * across.products + j))
    code.done()
    return code.function


def define_gather_taps(module: ir.Module, numbers: Numbers, taps: int) -> ir.Function:
    """``room[tap][lane]``: the taps of one channel for a register of result channels.

    Arguments: table, job, room, weight (of this group, at the channel), first result channel.
    """
    code = define(module, "gather_taps", [POINTER] * 4 + [I64])
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    room, weight, row0 = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored), code.argument(4)
    lanes, step = numbers.lanes, job[Word.WEIGHT_M]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    last = job[Word.M] - 1
    side_by_side = code.both(step.equals(1), row0 + lanes <= last + 1)
    rows = [(row0 + lane).minimum(last) * step for lane in range(lanes)]
    chunks = numbers.target.masks
    with code.either(side_by_side) as (direct, apart):
        with direct, code.loop(0, taps) as tap:
            value = numbers.load(code, weight, places.read_index(tap) + row0, lanes)
            room.store(value, tap * lanes)
        with apart:
            # 1: the taps lie side by side in order; -1: in reverse; 0: elsewhere.
            order = job[Word.WEIGHT_CONTIGUOUS] if chunks else code.index(0)
            with code.either(order.equals(0)) as (scattered, contiguous):
                with scattered, code.loop(0, taps) as tap:
                    value = Variable(code, code.zero(numbers.vector))
                    for lane, row in enumerate(rows):
                        element = numbers.load(code, weight, places.read_index(tap) + row)
                        value.set(code.builder.insert_element(value.get(), element, ir.Constant(I64, lane)))
                    room.store(value.get(), tap * lanes)
                with contiguous:
                    if chunks:
                        _turn_taps(code, numbers, room, weight, rows, order, places, taps)
    code.done()
    return code.function


def _turn_taps(
    code: Code,
    numbers: Numbers,
    room: Pointer,
    weight: Pointer,
    rows: list[Int],
    order: Int,
    places: Pointer,
    taps: int,
) -> None:
    lanes = numbers.lanes
    least = code.select(order > 0, places.read_index(0), places.read_index(taps - 1))
    first = code.select(order > 0, 0, taps - 1)
    for start in range(0, taps, lanes):
        count = min(lanes, taps - start)
        lines = []
        for row in rows:
            stored = code.masked_load(
                weight + (row + least + start), code.first_lanes(code.index(count), lanes), lanes
            )
            lines.append(numbers.widen(code, stored))
        for lane, tap in enumerate(transpose(code, lines)[:count]):
            room.store(tap, (first + order * (start + lane)) * lanes)
