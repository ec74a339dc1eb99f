"""Weights → panels of plain numbers: what the register tile multiplies by."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Int, define
from tatamu.engine.kernels.job import WeightLines, Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


def define_pack_weights(module: ir.Module, numbers: Numbers, rows: int) -> ir.Function:
    """Write the panel of ``rows`` rows of weights: ``panel[channel][tap][row]``.

    Arguments: table, job, panel, weight (of this group), first row, first channel, number of channels.
    Rows past the last repeat it.
    """
    define_panel = _define_complex if numbers.element.parts > 1 else _define_real
    return define_panel(module, numbers, rows)


def define_pack_scattered(module: ir.Module, numbers: Numbers) -> ir.Function:
    """The panel of a register's worth of rows where neither channels nor taps lie side by side.

    Arguments: those of `define_pack_weights`. The taps of a channel are read together: they share lines.
    """
    lanes = numbers.lanes
    code = define(module, "pack_scattered", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, first, channels = (code.argument(n) for n in range(4, 7))
    taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    stride_m, stride_c = job[Word.WEIGHT_M], job[Word.WEIGHT_C]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    last_row = job[Word.M] - row0 - 1
    offsets = [last_row.minimum(r) * stride_m for r in range(lanes)]
    weight = weight + (row0 * stride_m + first * stride_c)
    side_by_side = code.both(stride_m.equals(1), last_row >= lanes - 1)
    with code.loop(0, channels) as c, code.loop(0, taps) as t:
        begin = weight + (c * stride_c + places.read_index(t))
        target = panel + (c * taps + t) * lanes
        with code.either(side_by_side) as (together, apart):
            with together:
                target.store(numbers.load(code, begin, 0, lanes))
            with apart:
                for r, offset in enumerate(offsets):
                    target.store(numbers.load(code, begin, offset), r)
    code.done()
    return code.function


def _define_real(module: ir.Module, numbers: Numbers, rows: int) -> ir.Function:
    code = define(module, "pack_weights", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, first, channels = (code.argument(n) for n in range(4, 7))
    taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    stride_m, stride_c = job[Word.WEIGHT_M], job[Word.WEIGHT_C]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    last_row = job[Word.M] - row0 - 1
    offsets = [last_row.minimum(r) * stride_m for r in range(rows)]
    weight = weight + (row0 * stride_m + first * stride_c)

    # A row is walked along lines: of one tap's channels, of one channel's taps, or of both at once.
    lines_of = job[Word.WEIGHT_LINES]
    by_channels, joined = lines_of.equals(WeightLines.CHANNELS), lines_of.equals(WeightLines.BOTH)
    lines = code.select(by_channels, taps, code.select(joined, 1, channels))
    length = code.select(by_channels, channels, code.select(joined, channels * taps, taps))
    unit = code.select(by_channels, stride_c, 1)
    step = code.select(by_channels, taps, 1)
    # A block as wide as it is high is turned in registers; the last of a line again where it is cut short.
    in_blocks = code.both(unit.equals(1), length >= rows)
    turned = code.select(in_blocks, length, 0) if rows > 1 else code.index(0)
    side_by_side = code.both(stride_m.equals(1), last_row >= rows - 1)
    with code.loop(0, lines) as line:
        from_tap = places.read_index(code.select(by_channels, line, 0))
        begin = weight + (from_tap + code.select(by_channels, 0, line * stride_c))
        target = panel + code.select(by_channels, line, line * length) * rows
        if rows > 1:
            with code.loop(0, turned, rows) as block:
                k = block.minimum(length - rows)
                held = [numbers.load(code, begin + offset, k, rows) for offset in offsets]
                for lane, column in enumerate(transpose(code, held)):
                    target.store(column, (k + lane) * step * rows)
        with code.loop(turned, length) as k, code.either(side_by_side) as (together, apart):
            with together:
                target.store(numbers.load(code, begin, k * unit, rows), k * step * rows)
            with apart:
                for r, offset in enumerate(offsets):
                    target.store(numbers.load(code, begin + offset, k * unit), k * step * rows + r)
    code.done()
    return code.function


def _define_complex(module: ir.Module, numbers: Numbers, rows: int) -> ir.Function:
    """A complex weight becomes the 2 x 2 real matrix that multiplies by it."""
    code = define(module, "pack_weights", [POINTER] * 4 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, first, channels = (code.argument(n) for n in range(4, 7))
    taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]

    def part(channel: Int, tap: Int, row: Int) -> ir.Value:
        crossed = (row + channel) % 2
        place = places.read_index(tap) + (channel // 2) * job[Word.WEIGHT_C] + (row // 2) * job[Word.WEIGHT_M]
        value = numbers.load(code, weight, place + crossed)
        # Real row, imaginary column: -w_i. A conjugate weight turns both signs of w_i.
        negative = (channel % 2 + job[Word.WEIGHT_NEGATED]) % 2
        flip = (crossed * negative).equals(1)
        return code.builder.select(flip, numbers.negate(code, value), value)

    with code.loop(0, channels) as c, code.loop(0, taps) as t, code.loop(0, rows) as r:
        row = (row0 + r).minimum(job[Word.M] - 1)
        panel.store(part(first + c, t, row), (c * taps + t) * rows + r)
    code.done()
    return code.function


def define_pack_columns(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write the panel of some registers' worth of rows of weights: ``panel[tap][channel][row]``.

    Arguments: table, job, panel, weight (of this group), first row, registers, first channel, number of
    channels. Rows past the last repeat it.
    """
    lanes = numbers.lanes
    code = define(module, "pack_columns", [POINTER] * 4 + [I64] * 4)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    panel, weight = code.pointer(2, numbers.computed), code.pointer(3, numbers.stored)
    row0, registers, first, channels = (code.argument(n) for n in range(4, 8))
    taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    stride_m, stride_c = job[Word.WEIGHT_M], job[Word.WEIGHT_C]
    places = job.table + job[Word.WEIGHT_TAP_TABLE]
    width = registers * lanes
    # Turned in registers, as many channels as lanes at a time; a few of the last twice where some are left.
    turned = code.select(code.both(stride_c.equals(1), channels >= lanes), channels, 0)
    with code.loop(0, registers) as register, code.loop(0, taps) as t:
        row = row0 + register * lanes
        last = job[Word.M] - row - 1
        begin = weight + (row * stride_m + first * stride_c + places.read_index(t))
        target = panel + (t * channels * width + register * lanes)
        with code.loop(0, turned, lanes) as block:
            c = block.minimum(channels - lanes)
            held = [(begin + last.minimum(lane) * stride_m).load(c, lanes) for lane in range(lanes)]
            for lane, column in enumerate(transpose(code, held)):
                target.store(column, (c + lane) * width)
        side_by_side = code.both(stride_m.equals(1), last >= lanes - 1)
        with code.loop(turned, channels) as c, code.either(side_by_side) as (together, apart):
            with together:
                target.store((begin + c * stride_c).load(0, lanes), c * width)
            with apart, code.loop(0, lanes) as r:
                value = (begin + r.minimum(last) * stride_m).load(c * stride_c)
                target.store(value, c * width + r)
    code.done()
    return code.function
