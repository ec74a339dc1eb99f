"""Grad weight: sums over pixels, images included.

    grad_weight[m][channel, tap] = sum over pixels of grad_output[m][pixel] * slab[channel, tap][pixel]

Two register tiles serve it. *Outer*: lanes are result channels, a step is one pixel. *Dot*: lanes are
pixels, for groups of too few result channels to fill a register (depthwise).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import GradWeightKernel
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.microkernel import define_dot_microkernel, define_streams_microkernel
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job, define_pack_second, define_pack_second_rows
from tatamu.engine.kernels.permutation import transpose
from tatamu.engine.kernels.slab import define_pack_slab
from tatamu.engine.target import Target


def build(kernel: GradWeightKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    pack_slab = define_pack_slab(module, numbers, kernel.source_interleaved)
    accumulate = (_dot if kernel.dot else _outer)(kernel, module, numbers)
    store = _define_store(module, numbers, kernel.rows, kernel.tile_columns(target), by_column=not kernel.dot)
    columns = kernel.tile_columns(target)
    item = numbers.element.compute_bytes

    def task(
        code: Code, job: Job, arguments: Arguments, _shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        m_block = task % job[Word.M_BLOCKS]
        task = task // job[Word.M_BLOCKS]
        channel_blocks = (job[Word.CHANNELS] + job[Word.CHANNEL_BLOCK] - 1) // job[Word.CHANNEL_BLOCK]
        group, c0 = task // channel_blocks, (task % channel_blocks) * job[Word.CHANNEL_BLOCK]
        present = (job[Word.CHANNELS] - c0).minimum(job[Word.CHANNEL_BLOCK])
        m0 = m_block * job[Word.M_BLOCK]
        m_present = (job[Word.M] - m0).minimum(job[Word.M_BLOCK])
        pairs = present * job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
        tile_rows = (pairs + (kernel.rows - 1)) // kernel.rows
        tile_columns = (m_present + (columns - 1)) // columns

        offsets = scratch.of(I64)
        slab = scratch.moved_bytes(job[Word.SLAB_AT]).of(numbers.computed)
        panel = scratch.moved_bytes(job[Word.PANEL_AT]).of(numbers.computed)
        tiles = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
        _write_offsets(code, job, offsets, present, tile_rows * kernel.rows, item)
        source = arguments.source.of(numbers.stored) + group * job[Word.SOURCE_G]
        second = arguments.second.of(numbers.stored) + group * job[Word.SECOND_G]
        with code.loop(0, job[Word.IMAGES]) as image, code.loop(0, job[Word.BLOCKS]) as block:
            line0 = (block // job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_H]
            column0 = (block % job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_W]
            width = (job[Word.GRID_W] - column0).minimum(job[Word.BLOCK_W])
            lines = (job[Word.GRID_H] - line0).minimum(job[Word.BLOCK_H])
            pixels = code.select(lines > 1, lines * job[Word.PITCH], width)
            at = source + image * job[Word.SOURCE_N]
            room = scratch.moved_bytes(job[Word.ROWS_AT])
            code.call(
                pack_slab, job.table, job.words, slab, at, c0, present, line0, column0, width,
                job[Word.SLOT_TABLE], room,
            )  # fmt: skip
            first = code.select(code.both(image.equals(0), block.equals(0)), 1, 0)
            with code.loop(0, tile_columns) as column:
                m = m0 + column * columns
                place = _Panel(
                    second + image * job[Word.SECOND_N],
                    m,
                    (m0 + m_present - m).minimum(columns),
                    line0,
                    column0,
                    pixels,
                )
                tile = tiles + column * tile_rows * (kernel.rows * columns)
                accumulate(code, job, place, panel, slab, offsets, tile_rows, tile, first)
        result = arguments.target.of(numbers.stored) + group * job[Word.TARGET_G]
        code.call(store, job.words, tiles, result, c0, present, m0, m_present, tile_rows)

    define_entry(module, kernel.name(target), task)
    return module


def _outer(kernel: GradWeightKernel, module: ir.Module, numbers: Numbers) -> _Accumulate:
    width = kernel.vectors * numbers.lanes
    pack = define_pack_second(module, numbers, width, kernel.second_interleaved)
    multiply = [
        define_streams_microkernel(module, numbers, kernel.rows, v, width)
        for v in range(1, kernel.vectors + 1)
    ]

    def accumulate(code: Code, job: Job, place: _Panel, panel: Pointer, slab: Pointer, offsets: Pointer,
                   tile_rows: Int, tiles: Pointer, first: Int) -> None:  # fmt: skip
        run = job[Word.RUN].minimum(place.pixels)
        code.call(
            pack,
            job.words,
            panel,
            place.second,
            place.m,
            place.present,
            place.line0,
            place.column0,
            place.pixels,
            run,
        )
        registers = (place.present + (numbers.lanes - 1)) // numbers.lanes
        with code.loop(0, tile_rows) as r:
            for v, microkernel in enumerate(multiply, 1):
                with code.when(registers.equals(v)):
                    tile = tiles + r * (kernel.rows * width)
                    code.call(microkernel, slab, offsets + r * kernel.rows, panel, place.pixels, tile, first)

    return accumulate


def _dot(kernel: GradWeightKernel, module: ir.Module, numbers: Numbers) -> _Accumulate:
    pack = define_pack_second_rows(module, numbers)
    multiply = define_dot_microkernel(module, numbers, kernel.vectors, kernel.rows)
    item = numbers.element.compute_bytes

    def accumulate(code: Code, job: Job, place: _Panel, panel: Pointer, slab: Pointer, offsets: Pointer,
                   tile_rows: Int, tiles: Pointer, first: Int) -> None:  # fmt: skip
        pitch = (place.pixels + (2 * numbers.lanes - 1)) // numbers.lanes * numbers.lanes
        run = job[Word.RUN].minimum(place.pixels)
        code.fill_zero(panel, pitch * kernel.vectors)
        code.call(
            pack,
            job.words,
            panel,
            place.second,
            place.m,
            place.present,
            place.line0,
            place.column0,
            place.pixels,
            run,
            pitch,
        )
        with code.loop(0, tile_rows) as r:
            tile = tiles + r * (kernel.rows * kernel.vectors)
            code.call(
                multiply, slab, offsets + r * kernel.rows, panel, pitch * item, place.pixels, tile, first
            )

    return accumulate


@dataclass(frozen=True)
class _Panel:
    """The stretch of the second operand that a tile column needs."""

    second: Pointer
    m: Int
    present: Int
    line0: Int
    column0: Int
    pixels: Int


_Accumulate = Callable[[Code, Job, _Panel, Pointer, Pointer, Pointer, Int, Pointer, Int], None]


def _write_offsets(code: Code, job: Job, offsets: Pointer, channels: Int, padded: Int, item: int) -> None:
    """Byte offset in the slab of each (channel, tap); the rows that only fill a tile read the first."""
    taps = job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    count = code.variable(0)
    with code.loop(0, channels) as c, code.loop(0, taps) as tap:
        place = c * job[Word.PLANES] * job[Word.PLANE] + job.table.read_index(job[Word.PLACE_TABLE] + tap)
        offsets.store((place * item).value, count.now)
        count.become(count.now + 1)
    with code.loop(count.now, padded) as row:
        offsets.store(code.index(0).value, row)


def _define_store(
    module: ir.Module, numbers: Numbers, rows: int, columns: int, *, by_column: bool
) -> ir.Function:
    """Write finished tiles to grad weight: in blocks where (channel, tap) lie side by side, else one by one.

    Arguments: job, tiles, target (of this group), first channel, channels, first result channel, result
    channels, tiles of one tile column. ``by_column``: a tile is ``[pair][result channel]``, else the
    other way round.
    """
    code = define(module, "store_weights", [POINTER] * 3 + [I64] * 5)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    tiles, target = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    c0, channels, m0, m_present, tile_rows = (code.argument(n) for n in range(3, 8))
    parts, lanes = numbers.element.parts, numbers.lanes
    across, along, step_m, step_c = (
        job[Word.ROW_TAPS],
        job[Word.TAPS_ACROSS],
        job[Word.TARGET_N],
        job[Word.TARGET_C],
    )
    taps = across * along

    def sum_of(pair: Int, m: Int) -> ir.Value:
        tile = tiles + ((m // columns) * tile_rows + pair // rows) * (rows * columns)
        r, c = pair % rows, m % columns
        return tile.load(r * columns + c if by_column else c * rows + r)

    if parts == 1:
        begin = code.variable(0)
        if by_column:
            contiguous = code.both(step_c.equals(taps), job[Word.WEIGHT_CONTIGUOUS].equals(1))
            whole = code.select(contiguous, channels * taps // rows * rows, 0)
            block = code.stack(numbers.computed, rows * lanes)
            with code.loop(0, whole, rows) as pair, code.loop(0, m_present, lanes) as m:
                tile = tiles + ((m // columns) * tile_rows + pair // rows) * (rows * columns) + m % columns
                lines = [tile.load(r * columns, lanes) for r in range(rows)]
                for number, line in enumerate(transpose(code, lines)):
                    block.store(line, number * rows)
                with code.loop(0, (m_present - m).minimum(lanes)) as lane:
                    numbers.store(
                        code,
                        block.load(lane * rows, rows),
                        target,
                        (m0 + m + lane) * step_m + c0 * taps + pair,
                    )
            begin.become(whole)
        with code.loop(begin.now, channels * taps) as pair:
            c, i, j = c0 + pair // taps, (pair % taps) // along, pair % along
            at = target + (c * step_c + i * job[Word.TARGET_H] + j * job[Word.TARGET_W])
            with code.loop(0, m_present) as m:
                numbers.store(code, sum_of(pair, m), at, (m0 + m) * step_m)
    else:
        # grad · conj(source), from the four products of their parts.
        with code.loop(0, channels // 2) as c, code.loop(0, taps) as tap:
            real, imaginary = c * 2 * taps + tap, (c * 2 + 1) * taps + tap
            at = target + (
                (c0 // 2 + c) * step_c + tap // along * job[Word.TARGET_H] + tap % along * job[Word.TARGET_W]
            )
            with code.loop(0, m_present // 2) as m:
                place = (m0 // 2 + m) * step_m
                re = code.add(sum_of(real, m * 2), sum_of(imaginary, m * 2 + 1))
                im = code.add(sum_of(real, m * 2 + 1), numbers.negate(code, sum_of(imaginary, m * 2)))
                numbers.store(code, re, at, place)
                numbers.store(code, im, at, place + 1)
    code.done()
    return code.function
