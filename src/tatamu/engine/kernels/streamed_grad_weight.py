"""Grad weight by outer products, its rows read as streams: see `contract.md`.

grad_weight[stream, tap][x] = sum over pixels of source[stream, tap][pixel] * second[pixel][x]
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ahead import AheadList
from tatamu.engine.kernels.block import Block
from tatamu.engine.kernels.descriptions import StreamedGradWeightKernel
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import I64, POINTER, Code, IndexVariable, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import StreamTap, Word
from tatamu.engine.kernels.microkernel import define_lines_microkernel
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.streamed_packing import define_gather, define_pack_panels, define_pack_streams
from tatamu.engine.kernels.streamed_store import define_store_sums
from tatamu.engine.target import Target


def build(kernel: StreamedGradWeightKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    accumulate = _define_accumulate(kernel, module, numbers)
    store = define_store_sums(module, numbers, kernel.rows, kernel.vectors * numbers.lanes)

    width, rows = kernel.vectors * numbers.lanes, kernel.rows

    def pack(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        """One part of the pixels of a task, where they are summed in parts."""
        tiles = shared.of(numbers.computed) + task * job[Word.SUMS]
        part = task % job[Word.PARTS]
        code.call(accumulate, job.table, job.words, arguments.source, arguments.second, arguments.target,
                  scratch, tiles, task // job[Word.PARTS], part)  # fmt: skip

    def main(
        code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        tiles = scratch.moved_bytes(job[Word.TILES_AT]).of(numbers.computed)
        slices = job[Word.SLICES]
        number, piece = task // slices, task % slices
        at = Place.of(job, number)
        row_tiles = (at.rows + (rows - 1)) // rows
        begin, end = (row_tiles * piece // slices, row_tiles * (piece + 1) // slices)
        with code.either(job[Word.PARTS].equals(1)) as (whole, parts):
            with whole:
                code.call(accumulate, job.table, job.words, arguments.source, arguments.second,
                          arguments.target, scratch, tiles, number, code.index(0))  # fmt: skip
            with parts:
                size, tile = job[Word.SUMS], rows * width
                columns = job[Word.ROW_TAPS] * ((at.m + (width - 1)) // width)
                summed = shared.of(numbers.computed) + (number * job[Word.PARTS] * size + begin * tile)
                run = (end - begin) * tile
                with code.loop(0, columns) as column, code.loop(0, run, numbers.lanes) as x:
                    place = summed + (column * row_tiles * tile + x)
                    total = Variable(code, place.load(0, numbers.lanes))
                    with code.loop(1, job[Word.PARTS]) as part:
                        total.set(code.add(total.get(), place.load(part * size, numbers.lanes)))
                    tiles.store(total.get(), column * run + x)
        with code.when(job[Word.DIRECT].equals(0)):
            result = arguments.target.of(numbers.stored) + at.group * job[Word.TARGET_G]
            row0 = at.row0 + begin * rows
            present = (at.row0 + at.rows - row0).minimum((end - begin) * rows)
            code.call(store, job.table, job.words, tiles, result, row0, present, at.m0, at.m)

    define_entry(module, kernel.name(target), main, pack)
    return module


@dataclass(frozen=True)
class Place:
    """What a task computes: a group, some of its streams, some channels of the second operand."""

    group: Int
    row0: Int
    rows: Int
    m0: Int
    m: Int

    @staticmethod
    def of(job: Job, task: Int) -> Place:
        """The task of a number: channels of the second operand vary fastest, then streams, then groups."""
        m0 = (task % job[Word.M_BLOCKS]) * job[Word.M_BLOCK]
        task = task // job[Word.M_BLOCKS]
        blocks = (job[Word.CHANNELS] + job[Word.CHANNEL_BLOCK] - 1) // job[Word.CHANNEL_BLOCK]
        row0 = (task % blocks) * job[Word.CHANNEL_BLOCK]
        return Place(
            group=task // blocks,
            row0=row0,
            rows=(job[Word.CHANNELS] - row0).minimum(job[Word.CHANNEL_BLOCK]),
            m0=m0,
            m=(job[Word.M] - m0).minimum(job[Word.M_BLOCK]),
        )


def _block(job: Job, number: Int) -> Block:
    """Some pixels: blocks count through images, rows and columns."""
    grid = job[Word.GRID_H], job[Word.GRID_W]
    of_images = (grid[0] + job[Word.BLOCK_H] - 1) // job[Word.BLOCK_H] * job[Word.COLUMN_BLOCKS]
    return Block.of(job, number // of_images * job[Word.IMAGES_A_TASK], number % of_images, grid)


def _define_accumulate(kernel: StreamedGradWeightKernel, module: ir.Module, numbers: Numbers) -> ir.Function:
    """Sum a part of the pixels into the tiles of a task: ``tiles[tap][m tile][row tile][row][x]``.

    Arguments: table, job, source, second operand, target, scratch, tiles, task, part.
    """
    width, rows = kernel.vectors * numbers.lanes, kernel.rows
    multiply = _define_multiply(kernel, module, numbers)
    pack = define_pack_panels(module, numbers, width, kernel.second_interleaved)
    pack_streams = define_pack_streams(module, numbers, rows)
    gather = define_gather(module, numbers, kernel.source_interleaved) if kernel.gathered else None
    code = define(module, "accumulate", [POINTER] * 7 + [I64] * 2)
    job = Job(code, code.pointer(0, I64), code.pointer(1, I64))
    at, scratch = Place.of(job, code.argument(7)), code.pointer(5, I64)
    source, second = _operands(code, numbers, job)
    source = source + at.group * job[Word.SOURCE_G]
    second = second + (at.group * job[Word.SECOND_G] + at.m0 * job[Word.SECOND_C])
    results = code.pointer(4, numbers.computed) + (
        at.group * job[Word.TARGET_G] + at.row0 * job[Word.TARGET_C] + at.m0 * job[Word.TARGET_N]
    )
    tiles, part = code.pointer(6, numbers.computed), code.argument(8)
    panel, slab, packed = (
        scratch.moved_bytes(job[word]).of(numbers.computed)
        for word in (Word.PANEL_AT, Word.SLAB_AT, Word.ADDRESSES_AT)
    )
    lines, streams = scratch.moved_bytes(job[Word.ROWS_AT]), scratch.moved_bytes(job[Word.FLAGS_AT])
    row_tiles = (at.rows + (rows - 1)) // rows
    _list_streams(code, numbers, job, streams, at, row_tiles, rows)
    ahead = scratch.moved_bytes(job[Word.AHEAD_AT])
    in_place, pitch = job[Word.IN_PLACE].equals(1), job[Word.STREAM_PITCH]
    begin = part * job[Word.BLOCKS] // job[Word.PARTS]
    end = (part + 1) * job[Word.BLOCKS] // job[Word.PARTS]
    with code.loop(begin, end) as number:
        block = _block(job, number)
        pixels = block.rows * block.columns
        _list_ahead(kernel, code, numbers, job, ahead, (source, second, results), at, number + 1, end)
        first, last = (code.select(number.equals(edge), 1, 0) for edge in (begin, end - 1))
        finished_rows = code.select(code.both(last.equals(1), job[Word.DIRECT].equals(1)), at.rows, 0)
        with code.when(code.builder.not_(in_place)), code.loop(0, block.images) as image:
            found = second + (block.image0 + image) * job[Word.SECOND_N]
            found = found + (block.row0 * job[Word.SECOND_H] + block.column0 * job[Word.SECOND_W])
            to = panel + image * pixels * width
            code.call(pack, job.words, to, found, at.m, block.rows, block.columns)
        if gather is not None:
            _gather_block(code, job, gather, slab, source, block)
        with code.loop(0, job[Word.ROW_TAPS]) as tap:
            count, columns = _list_lines(kernel, code, numbers, job, lines, block, tap, width)
            read = slab if kernel.gathered else source
            with code.when(pitch > 0):
                code.call(pack_streams, packed, pitch, row_tiles, read, streams, lines, count.now,
                          columns.now, job[Word.STREAM_W] * numbers.element.compute_bytes)  # fmt: skip
                all_pixels = code.select(in_place, -1, pixels * block.images)
                _list_packed(code, numbers, lines, count, columns, all_pixels, rows)
            of_tap = tiles + tap * ((at.m + (width - 1)) // width * row_tiles * (rows * width))
            base = Pointer(code, code.builder.select(in_place, second.raw, panel.raw), numbers.computed)
            read = Pointer(code, code.builder.select(pitch > 0, packed.raw, read.raw), numbers.computed)
            code.call(multiply, job.words, read, streams, base, lines, of_tap, ahead, results, count.now,
                      columns.now, row_tiles, at.m, first, finished_rows)  # fmt: skip
    code.done()
    return code.function


def _define_multiply(kernel: StreamedGradWeightKernel, module: ir.Module, numbers: Numbers) -> ir.Function:
    """All register tiles of a tap, for one block of pixels.

    Arguments: job, streams' operand, streams, second operand, lines, tiles, what is read next, results;
    number of lines, pixels of a line, tiles of streams, channels of the second operand, 1 if the tiles start
    from zero, streams whose sums are results.
    """
    width, item, rows = kernel.vectors * numbers.lanes, numbers.element.compute_bytes, kernel.rows
    microkernels = [
        define_lines_microkernel(module, numbers, rows, v, width) for v in range(1, kernel.vectors + 1)
    ]
    code = define(module, "multiply", [POINTER] * 8 + [I64] * 6)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    source, second = code.pointer(1, numbers.computed), code.pointer(3, numbers.computed)
    streams, lines, tiles = code.pointer(2, I64), code.pointer(4, I64), code.pointer(5, numbers.computed)
    ahead, results = code.pointer(6, I64), code.pointer(7, numbers.computed)
    count, columns, row_tiles, channels, first, finished_rows = (code.argument(n) for n in range(8, 14))
    in_place, packs = job[Word.IN_PLACE].equals(1), job[Word.STREAM_PITCH] > 0
    second_step = code.select(in_place, job[Word.SECOND_W], width) * item
    step = code.select(packs, rows, job[Word.STREAM_W]) * item
    with code.loop(0, channels, width) as m, code.loop(0, row_tiles) as r:
        registers = ((channels - m).minimum(width) + (numbers.lanes - 1)) // numbers.lanes
        beside = second + code.select(in_place, m, (m // width) * job[Word.PANEL_PITCH])
        begin = source + r * job[Word.STREAM_PITCH]
        offsets = streams + code.select(packs, row_tiles, r) * rows
        tile = tiles + ((m // width) * row_tiles + r) * (rows * width)
        to = results + (r * rows * job[Word.TARGET_C] + m)
        for v, microkernel in enumerate(microkernels, 1):
            with code.when(registers.equals(v)):
                code.call(microkernel, begin, offsets, beside, lines, tile, ahead, to, count, columns, step,
                          second_step, first, job[Word.TARGET_C], finished_rows - r * rows)  # fmt: skip
    code.done()
    return code.function


def _list_streams(
    code: Code, numbers: Numbers, job: Job, streams: Pointer, at: Place, row_tiles: Int, rows: int
) -> None:
    """List where the streams of a task begin, in bytes; those past the last read the first.

    The rows of packed streams follow.
    """
    item = numbers.element.compute_bytes
    with code.loop(0, row_tiles * rows) as r:
        row = at.row0 + code.select(r < at.rows, r, 0)
        streams.store((job.table.read_index(job[Word.STREAM_TABLE] + row) * item).value, r)
    for packed in range(rows):
        streams.store(code.index(packed * item).value, row_tiles * rows + packed)


def _list_ahead(
    kernel: StreamedGradWeightKernel,
    code: Code,
    numbers: Numbers,
    job: Job,
    words: Pointer,
    operands: tuple[Pointer, Pointer, Pointer],
    at: Place,
    number: Int,
    end: Int,
) -> None:
    """List what the block of a number is to read, or after the last where results are written."""
    listed = AheadList(code, words)
    source, second, results = operands
    item = numbers.element.compute_bytes
    source = source.moved_bytes(job.table.read_index(job[Word.STREAM_TABLE] + at.row0) * item)
    read = [(second, "SECOND", at.m, kernel.second_interleaved)]
    if not kernel.gathered:
        read.append((source, "STREAM", at.rows, kernel.source_interleaved))
    with code.when(code.both(number < end, job[Word.AHEAD].equals(1))):
        block = _block(job, number)
        for operand, role, channels, interleaved in read:
            steps = [job[Word[f"{role}_{axis}"]] for axis in "NHW"]
            with code.loop(0, block.images) as n, code.loop(0, block.rows) as y:
                place = operand + ((block.image0 + n) * steps[0] + (block.row0 + y) * steps[1])
                place = place + block.column0 * steps[2]
                if interleaved:
                    listed.rectangle(place, channels * item, block.columns, steps[2] * item)
                else:
                    plane = job[Word.SECOND_C] if role == "SECOND" else job[Word.SOURCE_C]
                    listed.rectangle(place, block.columns * steps[2] * item, channels, plane * item)
    direct, taps = job[Word.DIRECT].equals(1), job[Word.ROW_TAPS]
    dense = code.both(job[Word.WEIGHT_CONTIGUOUS].equals(1), job[Word.WEIGHT_RUN].equals(taps))
    whole = code.both(job[Word.PARTS].equals(1), code.builder.or_(direct, dense))
    with code.when(code.both(number.equals(end), whole)):
        run = code.select(direct, at.m, at.rows * taps) * item
        rows = code.select(direct, at.rows, at.m)
        pitch = code.select(direct, job[Word.TARGET_C], job[Word.TARGET_N])
        listed.rectangle(results, run, rows, pitch * item)
    listed.close()


def _gather_block(
    code: Code, job: Job, gather: ir.Function, slab: Pointer, source: Pointer, block: Block
) -> None:
    """What a block needs of the source, with its padding."""
    row = block.row0 * job[Word.STRIDE_H] - job[Word.ROW_BEFORE]
    column = block.column0 * job[Word.STRIDE_W] - job[Word.COLUMN_BEFORE]
    with code.loop(0, block.images) as image:
        of_image = source + (block.image0 + image) * job[Word.SOURCE_N]
        code.call(gather, job.words, slab + image * job[Word.STREAM_N], of_image, row, column)


def _operands(code: Code, numbers: Numbers, job: Job) -> tuple[Pointer, Pointer]:
    """The operands in their roles, from arguments 2 and 3."""
    one, other = code.function.args[2], code.function.args[3]
    swapped = job[Word.SWAPPED].equals(1)
    streams = code.builder.select(swapped, other, one)
    beside = code.builder.select(swapped, one, other)
    return Pointer(code, streams, numbers.computed), Pointer(code, beside, numbers.computed)


def _list_lines(
    kernel: StreamedGradWeightKernel,
    code: Code,
    numbers: Numbers,
    job: Job,
    lines: Pointer,
    block: Block,
    tap: Int,
    width: int,
) -> tuple[IndexVariable, IndexVariable]:
    """List where the lines of a block begin that see the source through a tap; their number and length."""
    item = numbers.element.compute_bytes
    entry = job.table + (job[Word.ROW_TAP_TABLE] + tap * StreamTap.LENGTH)
    top = entry.read_index(StreamTap.TOP).maximum(block.row0)
    bottom = entry.read_index(StreamTap.BOTTOM).minimum(block.row0 + block.rows)
    left = entry.read_index(StreamTap.LEFT).maximum(block.column0)
    right = entry.read_index(StreamTap.RIGHT).minimum(block.column0 + block.columns)
    in_place = job[Word.IN_PLACE].equals(1)
    count = code.variable(0)
    with code.when(left < right), code.loop(0, block.images) as n, code.loop(top, bottom) as y:
        image, inside_y, inside_x = block.image0 + n, y - block.row0, left - block.column0
        # Gathered streams begin with the block.
        places = (n, inside_y, inside_x) if kernel.gathered else (image, y, left)
        steps = job[Word.STREAM_N], job[Word.STREAM_H], job[Word.STREAM_W]
        stream = entry.read_index(StreamTap.SHIFT)
        for place, step in zip(places, steps, strict=True):
            stream = stream + place * step
        packed = ((n * block.rows + inside_y) * block.columns + inside_x) * width
        lying = image * job[Word.SECOND_N] + y * job[Word.SECOND_H] + left * job[Word.SECOND_W]
        lines.store((stream * item).value, count.now * 2)
        lines.store((code.select(in_place, lying, packed) * item).value, count.now * 2 + 1)
        count.become(count.now + 1)
    return count, code.variable(right - left)


def _list_packed(
    code: Code,
    numbers: Numbers,
    lines: Pointer,
    count: IndexVariable,
    columns: IndexVariable,
    together: Int,
    rows: int,
) -> None:
    """List the lines as their streams are packed: as one, if they have ``together`` pixels."""
    pixel_bytes = rows * numbers.element.compute_bytes
    with code.loop(0, count.now) as line:
        lines.store((line * columns.now * pixel_bytes).value, line * 2)
    with code.when((count.now * columns.now).equals(together)):
        count.become(1)
        columns.become(together)
