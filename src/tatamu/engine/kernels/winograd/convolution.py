"""Winograd convolution, fused for each block of tiles: transform, multiply, transform back.

    results = Aᵀ [ Σ over channels (G g Gᵀ) ⊙ (Bᵀ d B) ] A

for tiles d of the padded source that overlap. See `engine/cook_toom.py` for the matrices and the sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.channel_results import define_store_channels
from tatamu.engine.kernels.channel_slab import define_pack_channels
from tatamu.engine.kernels.entry import Arguments, Task, define_entry, module_for
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.winograd.descriptions import WEIGHT_CHANNELS, WinogradKernel
from tatamu.engine.kernels.winograd.repair import define_repair
from tatamu.engine.kernels.winograd.tiles import column_of, define_transform_result, define_transform_tiles
from tatamu.engine.kernels.winograd.weights import (
    define_bring_weights,
    define_gather_taps,
    define_transform_weight,
)
from tatamu.engine.target import Target


def build(kernel: WinogradKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target, kernel.ending)
    gather = define_gather_taps(module, numbers, kernel.form.kernel_taps)
    width = kernel.vectors * numbers.lanes
    transform = define_transform_weight(module, numbers, kernel.form, width, gather)
    main = _Main(kernel, module, numbers, gather, transform)
    weights = _weight_task(numbers, width, transform, kernel.form.count)

    def before(code: Code, job: Job, *arguments: Any) -> None:
        with code.either(job[Word.TILES_BLOCK] > 0) as (tiles, others):
            with tiles:
                main.tile_task(code, job, *arguments)
            with others:
                weights(code, job, *arguments)

    define_entry(module, kernel.name(target), main.task, before)
    return module


def _weight_task(numbers: Numbers, width: int, transform: ir.Function, subkernels: int) -> Task:

    def pack(code: Code, job: Job, arguments: Arguments, shared: Pointer, _: Pointer, task: Int) -> None:
        panels = (job[Word.M] + (width - 1)) // width
        blocks = (job[Word.CHANNELS] + (WEIGHT_CHANNELS - 1)) // WEIGHT_CHANNELS
        begin = (task % blocks) * WEIGHT_CHANNELS
        panel = task // blocks
        at = shared.of(numbers.computed) + (panel * job[Word.WEIGHT_PANEL] + begin * (subkernels * width))
        weight = arguments.second.of(numbers.stored) + (panel // panels) * job[Word.WEIGHT_G]
        end = (begin + WEIGHT_CHANNELS).minimum(job[Word.CHANNELS])
        code.call(transform, job.table, job.words, at, weight, (panel % panels) * width, begin, end)

    return pack


def _define_multiply(module: ir.Module, numbers: Numbers, rows: int, vectors: int) -> ir.Function:
    """``sums[r][x] (+)= Σ over k of left[r][k] · panel[k][x]`` in a register tile.

    Arguments: left, elements from one of its rows to the next, panel, number of k, sums, 0 if they start from
    zero.
    """
    code = define(module, f"multiply_{rows}x{vectors}", [POINTER, I64, POINTER, I64, POINTER, I64])
    left, pitch = code.pointer(0, numbers.computed), code.argument(1)
    panel, count = code.pointer(2, numbers.computed), code.argument(3)
    result = code.pointer(4, numbers.computed)
    width = vectors * numbers.lanes
    lines = [left + pitch * r for r in range(rows)]
    sums = [Variable(code, code.zero(numbers.vector)) for _ in range(rows * vectors)]
    with code.loop(0, count) as k:
        b = panel + k * width
        columns = [b.load(v * numbers.lanes, numbers.lanes) for v in range(vectors)]
        for r, line in enumerate(lines):
            scalar = code.splat(line.load(k), numbers.lanes)
            for v in range(vectors):
                held = sums[r * vectors + v]
                held.set(code.multiply_add(scalar, columns[v], held.get()))
    places = [r * width + v * numbers.lanes for r in range(rows) for v in range(vectors)]
    with code.when(code.argument(5) > 0):
        for held, place in zip(sums, places, strict=True):
            held.set(code.add(result.load(place, numbers.lanes), held.get()))
    for held, place in zip(sums, places, strict=True):
        result.store(held.get(), place)
    code.done()
    return code.function


class _Main:
    """A task: some result channels of a block of tiles."""

    def __init__(
        self,
        kernel: WinogradKernel,
        module: ir.Module,
        numbers: Numbers,
        gather: ir.Function,
        transform: ir.Function,
    ) -> None:
        self.kernel, self.form, self.numbers, self.transform = kernel, kernel.form, numbers, transform
        self.width = kernel.vectors * numbers.lanes
        self.pack = define_pack_channels(module, numbers, kernel.source_interleaved)
        self.store = define_store_channels(module, numbers, kernel.target_interleaved)
        form = kernel.form
        filters = down, across = form.filters
        self.forth = define_transform_tiles(
            module, numbers, "transform_input", (down.input, across.input),
            (form.rows.advance, form.columns.advance), (form.rows.step, form.columns.step),
            dilated=kernel.dilated,
        )  # fmt: skip
        self.back = define_transform_result(module, numbers, filters, dilated=kernel.dilated)
        self.repair = define_repair(module, numbers, form, self.pack, gather, dilated=kernel.dilated)
        self.bring = define_bring_weights(module, numbers, form.kernel_taps, self.width, form.products)
        self.multiply = {
            rows: _define_multiply(module, numbers, rows, kernel.vectors) for rows in kernel.rows
        }

    def task(
        self, code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        """Write the code of one task."""
        numbers = self.numbers
        at = _Place.of(job, task, self.width)
        rooms = self._rooms(code, job, shared, scratch, task)
        source = self._source(job, at, arguments)
        with code.when(job[Word.TILES_BLOCK].equals(0)):
            self._transform_source(code, job, at, rooms, source, code.index(0), job[Word.CHANNELS])
        weight = arguments.second.of(numbers.stored) + at.group * job[Word.WEIGHT_G]
        panels = (job[Word.M] + (self.width - 1)) // self.width
        with code.loop(at.panel, at.panels_end) as panel:
            packed = shared.of(numbers.computed) + (at.group * panels + panel) * job[Word.WEIGHT_PANEL]
            with code.loop(0, job[Word.CHANNELS], job[Word.CHANNEL_BLOCK]) as c:
                weights = self._weights(code, job, scratch, packed, weight, at, panel, c)
                self._multiply(code, job, at, rooms, weights)
            with code.loop(0, self.width, numbers.lanes) as x:
                row = panel * self.width + x
                with code.when(row < job[Word.M]):
                    self._finish(code, job, at, rooms, arguments, source, weight, row, x)

    def tile_task(
        self, code: Code, job: Job, arguments: Arguments, shared: Pointer, scratch: Pointer, task: Int
    ) -> None:
        """Write the code of a task before: some channels of a block of tiles that others share."""
        lanes, channels = self.numbers.lanes, job[Word.CHANNELS]
        registers = (channels + (lanes - 1)) // lanes
        number, begin = (task // registers) * job[Word.M_BLOCKS], (task % registers) * lanes
        at = _Place.of(job, number, self.width)
        rooms = self._rooms(code, job, shared, scratch, number)
        source = self._source(job, at, arguments)
        self._transform_source(code, job, at, rooms, source, begin, (begin + lanes).minimum(channels))

    def _rooms(self, code: Code, job: Job, shared: Pointer, scratch: Pointer, task: Int) -> _Rooms:
        computed = self.numbers.computed
        slab, tiles, sums, results = (
            scratch.moved_bytes(job[word]).of(computed)
            for word in (Word.SLAB_AT, Word.PANEL_AT, Word.TILES_AT, Word.ROWS_AT)
        )
        block = job[Word.TILES_BLOCK]
        of_all = shared.of(computed) + (task // job[Word.M_BLOCKS]) * block
        tiles = Pointer(code, code.builder.select(block > 0, of_all.raw, tiles.raw), computed)
        return _Rooms(slab, tiles, sums, results, scratch.moved_bytes(job[Word.FLAGS_AT]).of(I64))

    def _source(self, job: Job, at: _Place, arguments: Arguments) -> Pointer:
        """Of the first image of a task and of its group."""
        return arguments.source.of(self.numbers.stored) + (
            at.image * job[Word.SOURCE_N] + at.group * job[Word.SOURCE_G] + job[Word.SOURCE_BASE]
        )

    def _step(self, job: Job) -> Index:
        """From one column of a tile to the next."""
        return job[Word.COLUMN_STEP] if self.kernel.dilated else 1

    def _transform_source(
        self, code: Code, job: Job, at: _Place, rooms: _Rooms, source: Pointer, begin: Int, end: Int
    ) -> None:
        """Channels ``begin``, a whole number of registers, to ``end``."""
        form, lanes, step = self.form, self.numbers.lanes, self._step(job)
        rows = at.rows * form.rows.advance + (form.rows.span - form.rows.advance)
        overlap = form.columns.span - form.columns.advance
        columns = at.columns * form.columns.advance + step * overlap
        with code.loop(0, at.images) as image, code.loop(begin, end, lanes) as c:
            present = (end - c).minimum(lanes)
            code.call(
                self.pack, job.table, job.words, rooms.slab,
                source + (image * job[Word.SOURCE_N] + c * job[Word.SOURCE_C]), present,
                at.row0 * form.rows.advance, at.column0 * form.columns.advance, rows, columns,
            )  # fmt: skip
            tile = image * at.rows * at.columns * job[Word.TILE_PITCH]
            # Lanes that are not present are written too, and then what comes next in their place.
            with code.loop(0, form.count) as subkernel:
                first = job.table + (job[Word.SUBKERNEL_TABLE] + subkernel * 2)
                pixel = first.read_index(0) * columns + first.read_index(1)
                code.call(
                    self.forth, rooms.slab + pixel * lanes,
                    rooms.tiles + (tile + c * form.count + subkernel * present),
                    at.rows, at.columns, columns * lanes,
                    job[Word.TILE_PRODUCT], job[Word.TILE_PITCH], code.index(step),
                )  # fmt: skip

    def _weights(
        self,
        code: Code,
        job: Job,
        scratch: Pointer,
        packed: Pointer,
        weight: Pointer,
        at: _Place,
        panel: Int,
        c: Int,
    ) -> _Weights:
        """Those of a panel and of a block of channels, transformed here unless they have been before."""
        block, channels, count = job[Word.CHANNEL_BLOCK], job[Word.CHANNELS], self.form.count
        end = (c + block).minimum(channels)
        room = scratch.moved_bytes(job[Word.WEIGHTS_AT]).of(self.numbers.computed)
        own = job[Word.WEIGHTS_AT] > 0
        with code.when(own):
            code.call(self.transform, job.table, job.words, room, weight, panel * self.width, c, end)
        # What comes next: the following channels, or the first ones of the following panel.
        last = end.equals(channels)
        following, begin = code.select(last, panel + 1, panel), code.select(last, 0, end)
        more = code.both(own, following < at.panels_end)
        shared = packed + c * (count * self.width)
        return _Weights(
            Pointer(code, code.builder.select(own, room.raw, shared.raw), room.element),
            c * count,
            (end - c) * count,
            weight + (following * self.width * job[Word.WEIGHT_M] + begin * job[Word.WEIGHT_C]),
            code.select(more, (channels - begin).minimum(block), 0),
        )

    def _multiply(self, code: Code, job: Job, at: _Place, rooms: _Rooms, weights: _Weights) -> None:
        """Add the products of some channels; the first channels begin the sums."""
        tiles = at.images * at.rows * at.columns
        products = self.form.products
        with code.loop(0, products) as p:
            with code.when(weights.more > 0):
                code.call(self.bring, job.table, job.words, weights.following, weights.more, p)
            left = rooms.tiles + (p * job[Word.TILE_PRODUCT] + weights.row)
            right = weights.panel + p * job[Word.WEIGHT_PRODUCT]
            sums = rooms.sums + p * job[Word.SUM_PRODUCT]
            begin = code.variable(0)
            for rows, multiply in self.multiply.items():  # The largest first; the last one takes the rest.
                whole = tiles - tiles % rows if rows != min(self.kernel.rows) else tiles
                with code.loop(begin.now, whole, rows) as t:
                    code.call(
                        multiply, left + t * job[Word.TILE_PITCH], job[Word.TILE_PITCH], right,
                        weights.rows, sums + t * self.width, weights.row,
                    )  # fmt: skip
                begin.become(begin.now.maximum(whole))

    def _finish(
        self,
        code: Code,
        job: Job,
        at: _Place,
        rooms: _Rooms,
        arguments: Arguments,
        source: Pointer,
        weight: Pointer,
        row: Int,
        x: Int,
    ) -> None:
        numbers, (down, across) = self.numbers, self.form.axes
        present = (job[Word.M] - row).minimum(numbers.lanes)
        pitch = at.columns * (across.outputs * numbers.lanes)
        bias = arguments.bias.of(numbers.stored) + (at.group * job[Word.M] + row) * job[Word.BIAS_C]
        target = arguments.target.of(numbers.stored) + (
            at.image * job[Word.TARGET_N] + at.group * job[Word.TARGET_G] + row * job[Word.TARGET_C]
        )
        target = target + job[Word.TARGET_BASE]
        step = self._step(job)
        with code.loop(0, at.images) as image, code.loop(0, at.rows) as line:
            first = (image * at.rows + line) * at.columns
            code.call(
                self.back, rooms.sums + (first * self.width + x), rooms.results, rooms.flags, at.columns,
                job[Word.SUM_PRODUCT], code.index(self.width), pitch, code.index(step),
            )  # fmt: skip
            y, left = (at.row0 + line) * down.outputs, at.column0 * across.outputs
            with code.loop(0, at.columns) as t, code.when(rooms.flags.read_index(t) > 0):
                code.call(
                    self.repair, job.table, job.words, source + image * job[Word.SOURCE_N], weight,
                    rooms.slab, rooms.results + column_of(t, across.outputs, step) * numbers.lanes, row,
                    (at.row0 + line) * down.advance,
                    at.column0 * across.advance + column_of(t, across.advance, step), pitch,
                )  # fmt: skip
            place = image * job[Word.TARGET_N] + y * job[Word.TARGET_H] + left * job[Word.TARGET_W]
            rows = (job[Word.GRID_H] - y).minimum(down.outputs)
            columns = (job[Word.GRID_W] - left).minimum(at.columns * across.outputs)
            code.call(
                self.store, job.words, rooms.results, target + place, bias, present, rows, columns, pitch
            )


@dataclass(frozen=True)
class _Rooms:
    """The parts of a thread's scratch."""

    slab: Pointer
    tiles: Pointer
    """``tiles[product][tile][channel]``, transformed."""
    sums: Pointer
    """``sums[product][tile][result channel]`` of one panel."""
    results: Pointer
    flags: Pointer


@dataclass(frozen=True)
class _Weights:
    """Transformed weights of a panel and of a block of channels, and where those lie that come next."""

    panel: Pointer
    row: Int
    """The first of the rows of all weights: so many for each channel as there are sub-kernels."""
    rows: Int
    following: Pointer
    """As they are in memory, not transformed."""
    more: Int
    """Channels of these; 0 where there are none, or where weights are transformed beforehand."""


@dataclass(frozen=True)
class _Place:
    """What a task computes: some panels of result channels of a block of tiles (rows and columns of them)."""

    image: Int
    images: Int
    group: Int
    panel: Int
    panels_end: Int
    row0: Int
    column0: Int
    rows: Int
    columns: Int

    @staticmethod
    def of(job: Job, task: Int, width: int) -> _Place:
        """The task of a number: result channels vary fastest, then blocks, groups and images."""
        m_block = task % job[Word.M_BLOCKS]
        task = task // job[Word.M_BLOCKS]
        block = task % job[Word.BLOCKS]
        task = task // job[Word.BLOCKS]
        row0 = (block // job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_H]
        column0 = (block % job[Word.COLUMN_BLOCKS]) * job[Word.BLOCK_W]
        image = (task // job[Word.GROUPS]) * job[Word.IMAGES_A_TASK]
        panels = (job[Word.M] + (width - 1)) // width
        panel = m_block * job[Word.M_BLOCK]
        return _Place(
            image=image,
            images=(job[Word.IMAGES] - image).minimum(job[Word.IMAGES_A_TASK]),
            group=task % job[Word.GROUPS],
            panel=panel,
            panels_end=(panel + job[Word.M_BLOCK]).minimum(panels),
            row0=row0,
            column0=column0,
            rows=(job[Word.TILES_H] - row0).minimum(job[Word.BLOCK_H]),
            columns=(job[Word.TILES_W] - column0).minimum(job[Word.BLOCK_W]),
        )
