"""Weights → Winograd's domain: the parallel phase before the convolution, or a part of each task."""

from __future__ import annotations

from collections.abc import Callable

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, define, scalar_bytes
from tatamu.engine.kernels.job import LINE_BYTES, Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose
from tatamu.engine.kernels.winograd.linear_maps import apply_2d
from tatamu.engine.winograd_forms import Form

"""Of a cache."""


def define_transform_weight(
    module: ir.Module, numbers: Numbers, form: Form, width: int, gather: ir.Function
) -> ir.Function:
    """``panel[product][channel][x] = G g Gᵀ`` for ``width`` result channels x and some channels.

    Arguments: table, job, panel (at the first channel), weight (of this group), first result channel, first
    and last channel. Result channels past the last repeat it: what they give is dropped. A register of
    channels is followed by the next, each with all of its sub-kernels, one after another.
    """
    code = define(module, "transform_weight", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, begin, end = (code.argument(n) for n in range(4, 7))
    lanes, (down, across), taps = numbers.lanes, form.filters, form.kernel_taps
    gathered = code.stack(numbers.computed, lanes * taps * lanes)
    product = job[Word.WEIGHT_PRODUCT]
    subkernel_taps = _SubkernelTaps(code, numbers, job, form, gathered)
    with code.loop(begin, end, lanes) as first, code.loop(0, width, lanes) as x:
        channels = (end - first).minimum(lanes)
        at_channel = weight + first * job[Word.WEIGHT_C]
        code.call(gather, job.table, job.words, gathered, at_channel, row0 + x, channels)
        with code.loop(0, form.count) as subkernel:
            read = subkernel_taps.reader(subkernel)
            row = (first - begin) * form.count + subkernel * channels
            with code.loop(0, channels) as c:
                done = apply_2d(code, down.weight, across.weight, lambda i, j: read(i * across.taps + j, c))
                at = panel + ((row + c) * width + x)
                for i, line in enumerate(done):
                    for j, value in enumerate(line):
                        at.store(value, product * (i * across.products + j))
    code.done()
    return code.function


class _SubkernelTaps:
    """The taps of a sub-kernel among all that are gathered; those that the kernel has not are zeros."""

    def __init__(self, code: Code, numbers: Numbers, job: Job, form: Form, gathered: Pointer) -> None:
        self.code, self.numbers, self.job, self.form, self.gathered = code, numbers, job, form, gathered
        if form.count > 1:
            self._zeros = code.stack(numbers.computed, numbers.lanes)
            self._zeros.store(code.zero(numbers.vector))

    def reader(self, subkernel: Int) -> Callable[[int, Int], ir.Value]:
        """What reads a tap of the sub-kernel, in order, of a channel."""
        code, lanes, taps = self.code, self.numbers.lanes, self.form.kernel_taps
        if self.form.count == 1:  # The whole kernel.
            return lambda tap, c: self.gathered.load((c * taps + tap) * lanes, lanes)
        places = []
        count = self.form.rows.taps * self.form.columns.taps
        for number in range(count):
            tap = self.job.table.read_index(self.job[Word.SUBKERNEL_TAP_TABLE] + subkernel * count + number)
            there = tap >= 0
            base = code.builder.select(there, (self.gathered + tap * lanes).raw, self._zeros.raw)
            step = code.select(there, taps * lanes, 0)
            places.append((Pointer(code, base, self.numbers.computed), step))
        return lambda tap, c: places[tap][0].load(places[tap][1] * c, lanes)


def define_bring_weights(
    module: ir.Module, numbers: Numbers, taps: int, width: int, parts: int
) -> ir.Function:
    """Bring one of ``parts`` parts of the weights of ``width`` result channels and some channels nearer.

    They are many and each is read once, so they are asked for while others are multiplied. Arguments: table,
    job, weight (at the first result channel and channel), channels, the part.
    """
    code = define(module, "bring_weights", [POINTER] * 3 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    weight, channels, part = code.pointer(2, numbers.stored), code.argument(3), code.argument(4)
    by_row = job[Word.WEIGHT_M] > job[Word.WEIGHT_C]
    count = code.select(by_row, width, channels)
    inner = code.select(by_row, channels, width)
    step = job[Word.WEIGHT_M].minimum(job[Word.WEIGHT_C])
    line = LINE_BYTES // scalar_bytes(numbers.stored)
    with (
        code.loop(part * count // parts, (part + 1) * count // parts) as strand,
        # Either all taps lie together, or channels lie side by side, once for each tap.
        code.loop(0, code.select(step > 1, 1, taps)) as tap,
    ):
        place = code.select(step > 1, 0, job.table.read_index(job[Word.WEIGHT_TAP_TABLE] + tap))
        begin = weight + (strand * job[Word.WEIGHT_M].maximum(job[Word.WEIGHT_C]) + place)
        with code.loop(0, inner * step, line) as at:
            code.prefetch(begin + at)
    code.done()
    return code.function


def define_gather_taps(module: ir.Module, numbers: Numbers, taps: int) -> ir.Function:
    """``room[channel][tap][lane]``: the taps of some channels for a register of result channels.

    Arguments: table, job, room (for as many channels as there are lanes), weight (of this group, at the first
    channel), first result channel, channels.
    """
    turn = _define_turn(module, numbers)
    code = define(module, "gather_taps", [POINTER] * 4 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    room, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, channels = code.argument(4), code.argument(5)
    lanes, last = numbers.lanes, job[Word.M] - 1
    offsets = code.stack(I64, lanes)
    for lane in range(lanes):
        offsets.store(((row0 + lane).minimum(last) * job[Word.WEIGHT_M]).value, lane)
    rows = _Rows(code, numbers, weight, offsets, turn)
    in_order, step = job[Word.WEIGHT_CONTIGUOUS].equals(1), job[Word.WEIGHT_C]
    beside = code.both(job[Word.WEIGHT_M].equals(1), row0 + lanes <= last + 1)
    with code.either(code.both(in_order, step.equals(taps))) as (run, others):
        with run:  # All taps of these channels are one stretch of memory, in order.
            count = channels * taps
            with code.loop(0, count, lanes) as k:
                rows.turn(k, (count - k).minimum(lanes), room + k * lanes, 1)
        with others:
            by_channel = code.both(step.equals(1), code.builder.not_(beside))
            with code.either(by_channel) as (channels_beside, apart):
                with channels_beside, code.loop(0, taps) as tap:
                    place = job.table.read_index(job[Word.WEIGHT_TAP_TABLE] + tap)
                    rows.turn(place, channels, room + tap * lanes, taps)
                with apart, code.loop(0, channels) as c:
                    _gather_channel(code, job, rows, room + c * (taps * lanes), c * step, row0, beside, taps)
    code.done()
    return code.function


def _gather_channel(
    code: Code, job: Job, rows: _Rows, room: Pointer, begin: Int, row0: Int, beside: ir.Value, taps: int
) -> None:
    """``room[tap][lane]`` of the channel that begins there; the rows may lie side by side, or the taps."""
    numbers, lanes = rows.numbers, rows.numbers.lanes
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    with code.either(beside) as (direct, apart):
        with direct, code.loop(0, taps) as tap:
            value = numbers.load(code, rows.source, places.read_index(tap) + begin + row0, lanes)
            room.store(value, tap * lanes)
        with apart:
            # 1: the taps lie side by side in order; -1: in reverse; 0: elsewhere.
            order = job[Word.WEIGHT_CONTIGUOUS]
            with code.either(order.equals(0)) as (scattered, contiguous):
                with scattered, code.loop(0, taps) as tap:
                    rows.pick(places.read_index(tap) + begin, room + tap * lanes)
                with contiguous:
                    least = code.select(order > 0, places.read_index(0), places.read_index(taps - 1))
                    first = code.select(order > 0, 0, taps - 1)
                    with code.loop(0, taps, lanes) as start:
                        to = room + (first + order * start) * lanes
                        rows.turn(begin + least + start, (taps - start).minimum(lanes), to, order)


class _Rows:
    """Rows that lie apart, as many as there are lanes."""

    def __init__(
        self, code: Code, numbers: Numbers, source: Pointer, offsets: Pointer, turn: ir.Function
    ) -> None:
        self.code, self.numbers, self.source = code, numbers, source
        self._offsets, self._turn = offsets, turn

    def turn(self, at: Index, count: Index, room: Pointer, step: Index) -> None:
        """The elements ``at``, ``at`` + 1, … of all rows, each in a register, ``step`` registers apart."""
        code = self.code
        code.call(self._turn, self.source + at, self._offsets, room, code.index(count), code.index(step))

    def pick(self, at: Int, room: Pointer) -> None:
        """The element ``at`` of all rows."""
        for lane in range(self.numbers.lanes):
            row = self._offsets.read_index(lane)
            room.store(self.numbers.load(self.code, self.source, at + row), lane)


def _define_turn(module: ir.Module, numbers: Numbers) -> ir.Function:
    """``room[k][lane] = source[offsets[lane] + k]`` for up to as many k as there are lanes.

    Arguments: source, offsets, room, number of k, registers of the room from one k to the next.
    """
    code = define(module, "turn", [POINTER] * 3 + [I64] * 2)
    source, offsets = code.pointer(0, numbers.stored), code.pointer(1, I64)
    target, count, step = code.pointer(2, numbers.computed), code.argument(3), code.argument(4)
    lanes = numbers.lanes
    rows = [source + offsets.read_index(lane) for lane in range(lanes)]
    if numbers.target.masks:
        mask = code.first_lanes(count, lanes)
        lines = [numbers.widen(code, code.masked_load(row, mask, lanes)) for row in rows]
    else:  # What is less than a register is gathered in a room first.
        room, part = code.stack(numbers.stored, lanes * lanes), count < lanes
        with code.when(part), code.loop(0, count) as k:
            for lane, row in enumerate(rows):
                room.store(row.load(k), k + lane * lanes)
        begins = [
            Pointer(code, code.builder.select(part, (room + lane * lanes).raw, row.raw), numbers.stored)
            for lane, row in enumerate(rows)
        ]
        lines = [numbers.load(code, begin, 0, lanes) for begin in begins]
    for number, turned in enumerate(transpose(code, lines)):
        with code.when(count > number):
            target.store(turned, step * (number * lanes))
    code.done()
    return code.function
