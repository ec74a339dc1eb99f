"""The gradient of the weight by Winograd's filters: the reduction over tiles.

    grad_weight = Aᵀ [ Σ over tiles (Bᵀ d B) ⊙ (G e Gᵀ) ] A

for overlapping tiles d of the padded input and the tiles e of the gradient of the output that they meet. A
task owns some input and some result channels and sums over all tiles in order, so the number of threads
changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.block import Block
from tatamu.engine.kernels.channel_slab import define_pack_channels
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.winograd.descriptions import WinogradGradWeightKernel
from tatamu.engine.kernels.winograd.grad_weight_repair import define_grad_weight_repair
from tatamu.engine.kernels.winograd.linear_maps import apply_2d
from tatamu.engine.kernels.winograd.taps import define_scatter_taps
from tatamu.engine.kernels.winograd.tiles import Filters, define_transform_tiles
from tatamu.engine.target import Target


def build(kernel: WinogradGradWeightKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target)
    define_entry(module, kernel.name(target), _Main(kernel, module, numbers).task)
    return module


def _define_accumulate(module: ir.Module, numbers: Numbers, rows: int, vectors: int) -> ir.Function:
    """``sums[r][x] (+)= Σ over t of left[t][r] · right[t][x]`` in a register tile.

    Arguments: left and right, each with its elements from one t to the next, number of t, sums, elements of
    their rows, 1 if they start from zero.
    """
    code = define(
        module, f"accumulate_{rows}x{vectors}", [POINTER, I64, POINTER, I64, I64, POINTER, I64, I64]
    )
    left, left_pitch = code.pointer(0, numbers.computed), code.argument(1)
    right, right_pitch, count = code.pointer(2, numbers.computed), code.argument(3), code.argument(4)
    result, pitch, first = code.pointer(5, numbers.computed), code.argument(6), code.argument(7)
    sums = [Variable(code, code.zero(numbers.vector)) for _ in range(rows * vectors)]
    with code.loop(0, count) as t:
        a, b = left + t * left_pitch, right + t * right_pitch
        columns = [b.load(v * numbers.lanes, numbers.lanes) for v in range(vectors)]
        for r in range(rows):
            scalar = code.splat(a.load(r), numbers.lanes)
            for v in range(vectors):
                held = sums[r * vectors + v]
                held.set(code.multiply_add(scalar, columns[v], held.get()))
    fresh = first.equals(1)
    for r in range(rows):
        line = result + pitch * r
        for v in range(vectors):
            before = code.builder.select(
                fresh, code.zero(numbers.vector), line.load(v * numbers.lanes, numbers.lanes)
            )
            line.store(code.add(before, sums[r * vectors + v].get()), v * numbers.lanes)
    code.done()
    return code.function


def _define_finish(module: ir.Module, numbers: Numbers, filters: Filters) -> ir.Function:
    """``taps[channel][tap][lane] = Aᵀ s A`` for a register of channels; says whether all are finite.

    Arguments: sums (at the first channel and lane), taps, flag, channels, elements of a product and of a
    channel.
    """
    code = define(module, "transform_taps", [POINTER] * 3 + [I64] * 3)
    sums, taps = code.pointer(0, numbers.computed), code.pointer(1, numbers.computed)
    flag = code.pointer(2, I64)
    channels, product, pitch = (code.argument(n) for n in range(3, 6))
    lanes, (down, across) = numbers.lanes, filters
    zero = code.zero(numbers.vector)
    check = Variable(code, zero)
    with code.loop(0, channels) as c:
        begin, result = sums + c * pitch, taps + c * (down.outputs * across.outputs * lanes)
        done = apply_2d(
            code,
            down.output,
            across.output,
            lambda i, j: begin.load(product * (i * across.products + j), lanes),
        )
        for i, line in enumerate(done):
            for j, value in enumerate(line):
                result.store(value, (i * across.outputs + j) * lanes)
                check.set(code.multiply_add(value, zero, check.get()))  # NaN where a value is not finite.
    unordered = code.builder.unordered(check.get(), check.get())
    flag.store(code.builder.zext(code.builder.bitcast(unordered, ir.IntType(lanes)), I64))
    code.done()
    return code.function


class _Main:
    """A task: the gradient of some channels' taps."""

    def __init__(self, kernel: WinogradGradWeightKernel, module: ir.Module, numbers: Numbers) -> None:
        self.kernel, self.numbers = kernel, numbers
        down, across = kernel.filters
        self.pack = define_pack_channels(module, numbers, kernel.interleaved)
        self.source, self.second = (
            define_transform_tiles(
                module, numbers, name, matrices, kernel.tile, (1, 1), dilated=kernel.dilated
            )
            for name, matrices in (
                ("transform_input", (down.input, across.input)),
                ("transform_grad_output", (down.weight, across.weight)),
            )
        )
        self.accumulate = {
            rows: _define_accumulate(module, numbers, rows, kernel.vectors) for rows in kernel.rows
        }
        self.finish = _define_finish(module, numbers, kernel.filters)
        self.scatter = define_scatter_taps(module, numbers, kernel.taps[0] * kernel.taps[1])
        self.repair = define_grad_weight_repair(module, numbers, kernel, self.pack)

    def task(
        self, code: Code, job: Job, arguments: Arguments, _: Pointer, scratch: Pointer, task: Int
    ) -> None:
        """Write the code of one task."""
        numbers = self.numbers
        at = _Place.of(job, task)
        second_job = job.moved(int(Word.LENGTH))
        source = arguments.source.of(numbers.stored) + (
            at.group * job[Word.SOURCE_G] + at.channel * job[Word.SOURCE_C]
        )
        second = arguments.second.of(numbers.stored) + (
            at.group * second_job[Word.SOURCE_G] + at.row * second_job[Word.SOURCE_C]
        )
        slab, tiles, grads, sums, taps = (
            scratch.moved_bytes(job[word]).of(numbers.computed)
            for word in (Word.SLAB_AT, Word.PANEL_AT, Word.ROWS_AT, Word.TILES_AT, Word.TAPS_AT)
        )
        flag = scratch.moved_bytes(job[Word.FLAGS_AT]).of(I64)
        first = code.variable(1)
        with (
            code.loop(0, job[Word.IMAGES], job[Word.IMAGES_A_TASK]) as image,
            code.loop(0, job[Word.ROW_PHASES]) as phase,
            code.loop(0, job[Word.BLOCKS]) as b,
        ):
            block = Block.of(job, image, b, (job[Word.TILES_H], job[Word.TILES_W]))
            of_source, of_second = (one.moved(phase * (2 * int(Word.LENGTH))) for one in (job, second_job))
            self._transform(
                code, of_source, slab, tiles, source, at.channels, block, self.source, self.kernel.taps
            )
            self._transform(code, of_second, slab, grads, second, at.rows, block, self.second, (1, 1))
            self._accumulate(code, job, second_job, tiles, grads, sums, at, block.places, first.now)
            first.become(0)
        lanes = numbers.lanes
        target = arguments.target.of(numbers.stored) + (
            at.group * job[Word.TARGET_G] + at.row * job[Word.TARGET_N] + at.channel * job[Word.TARGET_C]
        )
        with code.loop(0, at.channels, lanes) as c, code.loop(0, at.rows, lanes) as x:
            channels, present = (at.channels - c).minimum(lanes), (at.rows - x).minimum(lanes)
            code.call(
                self.finish, sums + (c * job[Word.SUM_PITCH] + x), taps, flag, channels,
                job[Word.SUM_PRODUCT], job[Word.SUM_PITCH],
            )  # fmt: skip
            with code.when(flag.read_index() > 0):
                code.call(
                    self.repair, job.table, job.words, source + c * job[Word.SOURCE_C], channels,
                    second + x * second_job[Word.SOURCE_C], present, slab, grads, taps,
                )  # fmt: skip
            place = target + (x * job[Word.TARGET_N] + c * job[Word.TARGET_C])
            code.call(self.scatter, job.table, job.words, taps, place, channels, present)

    def _transform(
        self,
        code: Code,
        job: Job,
        slab: Pointer,
        tiles: Pointer,
        source: Pointer,
        channels: Int,
        block: Block,
        transform: ir.Function,
        taps: tuple[int, int],
    ) -> None:
        """All channels of one operand's tiles; ``taps`` is how far a tile overlaps the next, and one."""
        (mh, mw), lanes = self.kernel.tile, self.numbers.lanes
        step: Index = job[Word.COLUMN_STEP] if self.kernel.dilated else 1
        rows, columns = block.rows * mh + (taps[0] - 1), block.columns * mw + step * (taps[1] - 1)
        source = source + job[Word.SOURCE_BASE]
        with code.loop(0, block.images) as n, code.loop(0, channels, lanes) as c:
            code.call(
                self.pack, job.table, job.words, slab,
                source + ((block.image0 + n) * job[Word.SOURCE_N] + c * job[Word.SOURCE_C]),
                (channels - c).minimum(lanes), block.row0 * mh, block.column0 * mw, rows, columns,
            )  # fmt: skip
            first = tiles + (n * block.rows * block.columns * job[Word.TILE_PITCH] + c)
            code.call(
                transform, slab, first, block.rows, block.columns, columns * lanes,
                job[Word.TILE_PRODUCT], job[Word.TILE_PITCH], code.index(step),
            )  # fmt: skip

    def _accumulate(
        self,
        code: Code,
        job: Job,
        second_job: Job,
        tiles: Pointer,
        grads: Pointer,
        sums: Pointer,
        at: _Place,
        count: Int,
        first: Int,
    ) -> None:
        width = self.kernel.vectors * self.numbers.lanes
        with code.loop(0, self.kernel.products) as p, code.loop(0, at.rows, width) as x:
            left, right = tiles + p * job[Word.TILE_PRODUCT], grads + (p * second_job[Word.TILE_PRODUCT] + x)
            result = sums + (p * job[Word.SUM_PRODUCT] + x)
            begin = code.variable(0)
            for rows, accumulate in self.accumulate.items():  # The largest first; the last takes the rest.
                channels = at.channels
                whole = channels - channels % rows if rows != min(self.kernel.rows) else channels
                with code.loop(begin.now, whole, rows) as c:
                    code.call(
                        accumulate, left + c, job[Word.TILE_PITCH], right, second_job[Word.TILE_PITCH], count,
                        result + c * job[Word.SUM_PITCH], job[Word.SUM_PITCH], first,
                    )  # fmt: skip
                begin.become(begin.now.maximum(whole))


@dataclass(frozen=True)
class _Place:
    """What a task computes: ``channels`` from ``channel`` on, ``rows`` result channels from ``row`` on."""

    group: Int
    channel: Int
    channels: Int
    row: Int
    rows: Int

    @staticmethod
    def of(job: Job, task: Int) -> _Place:
        """The task of a number: result channels vary fastest, then channels and groups."""
        row = (task % job[Word.M_BLOCKS]) * job[Word.M_BLOCK]
        task = task // job[Word.M_BLOCKS]
        blocks = (job[Word.CHANNELS] + job[Word.CHANNEL_BLOCK] - 1) // job[Word.CHANNEL_BLOCK]
        channel = (task % blocks) * job[Word.CHANNEL_BLOCK]
        return _Place(
            group=task // blocks,
            channel=channel,
            channels=(job[Word.CHANNELS] - channel).minimum(job[Word.CHANNEL_BLOCK]),
            row=row,
            rows=(job[Word.M] - row).minimum(job[Word.M_BLOCK]),
        )
