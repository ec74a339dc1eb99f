"""A kernel as large as its image: a fully connected layer.

results[image][m] = bias[m] + sum over k of weight[m][k] * source[image][k]

k counts through (channel, row, column) in the order in which both operands have them in memory, so both are
read where they lie, a register at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import STRETCH, FullyConnectedKernel
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.target import Target


def build(kernel: FullyConnectedKernel, target: Target) -> ir.Module:
    """The kernel as IR."""
    numbers = Numbers(kernel.element, target)
    module = module_for(target, kernel.ending)
    tiles = {
        images: (rows, _define_tile(module, numbers, rows, images))
        for images, rows in kernel.tiles(target).items()
    }

    tallest = max(rows for rows, _ in tiles.values())

    def task(code: Code, job: Job, arguments: Arguments, _shared: Pointer, _: Pointer, task: Int) -> None:
        m_block, task = task % job[Word.M_BLOCKS], task // job[Word.M_BLOCKS]
        group, block = task % job[Word.GROUPS], task // job[Word.GROUPS]
        source = arguments.source.of(numbers.stored) + group * job[Word.SOURCE_G]
        weight = arguments.second.of(numbers.stored) + group * job[Word.WEIGHT_G]
        result = arguments.target.of(numbers.stored) + group * job[Word.TARGET_G]
        bias = arguments.bias.of(numbers.stored) + group * job[Word.M] * job[Word.BIAS_C]
        row0 = m_block * job[Word.M_BLOCK]
        rows_end = (row0 + job[Word.M_BLOCK]).minimum(job[Word.M])
        image0 = block * job[Word.IMAGES_A_TASK]
        images_end = (image0 + job[Word.IMAGES_A_TASK]).minimum(job[Word.IMAGES])
        # The widest tile first: what it leaves over is for the narrower ones.
        with code.loop(row0, rows_end, tallest) as first:
            last = (first + tallest).minimum(rows_end)
            begin = code.variable(image0)
            for images in sorted(tiles, reverse=True):
                rows, tile = tiles[images]
                whole = begin.now + (images_end - begin.now) // images * images
                with code.loop(begin.now, whole, images) as image, code.loop(first, last, rows) as row:
                    code.call(tile, job.words, source, weight, result, bias, image, row, last - row)
                begin.become(whole)

    define_entry(module, kernel.name(target), task)
    return module


def _define_tile(module: ir.Module, numbers: Numbers, rows: int, images: int) -> ir.Function:
    """Finish the results of ``rows`` rows of weights and ``images`` images; lanes are steps of k.

    Arguments: job, source, weight, target and bias (of this group), first image, first row, rows present.
    The last row present stands in for absent ones, which are not written.
    """
    code = define(module, f"tile_{rows}x{images}", [POINTER] * 5 + [I64] * 3)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    source, weight, target, bias = (code.pointer(n, numbers.stored) for n in range(1, 5))
    image0, row0, present = code.argument(5), code.argument(6), code.argument(7).minimum(rows)
    count, lanes = job[Word.CHANNELS], numbers.lanes
    streams = [source + (image0 + i) * job[Word.SOURCE_N] for i in range(images)]
    lines = [weight + (row0 + (present - 1).minimum(r)) * job[Word.WEIGHT_M] for r in range(rows)]
    zero = code.zero(numbers.vector)
    totals = code.stack(numbers.computed, rows * images * lanes)
    for number in range(rows * images):
        totals.store(zero, number * lanes)

    def step(sums: list[Variable], right: list[ir.Value], left: list[ir.Value]) -> None:
        for i, pixels in enumerate(right):
            for r, weights in enumerate(left):
                held = sums[i * rows + r]
                held.set(code.multiply_add(weights, pixels, held.get()))

    sums = [Variable(code, zero) for _ in range(rows * images)]
    whole = count - count % lanes
    # Sums of sums: the rounding error grows with the root of a stretch, not of the whole reduction.
    with code.loop(0, whole, STRETCH * lanes) as begin:
        with code.loop(begin, (begin + STRETCH * lanes).minimum(whole), lanes) as k:
            step(
                sums,
                [numbers.load(code, stream, k, lanes) for stream in streams],
                [numbers.load(code, line, k, lanes) for line in lines],
            )
        for number, held in enumerate(sums):
            totals.store(code.add(totals.load(number * lanes, lanes), held.get()), number * lanes)
            held.set(zero)
    with code.when(whole < count):
        read = reader_of_rests(code, numbers, whole, count - whole)
        step(sums, [read(stream) for stream in streams], [read(line) for line in lines])
    ends = [code.add(totals.load(n * lanes, lanes), held.get()) for n, held in enumerate(sums)]
    for i in range(images):
        at = target + ((image0 + i) * job[Word.TARGET_N] + row0 * job[Word.TARGET_C])
        _write(code, numbers, job, ends[i * rows : (i + 1) * rows], at, bias, row0, present)
    code.done()
    return code.function


def reader_of_rests(code: Code, numbers: Numbers, begin: Int, count: Int) -> Callable[[Pointer], ir.Value]:
    """Reads what is left of a line that ends within a register; lanes past its end are zeros."""
    lanes = numbers.lanes
    if numbers.target.masks:
        mask = code.first_lanes(count, lanes)
        return lambda line: numbers.widen(code, code.masked_load(line + begin, mask, lanes))
    room = code.stack(numbers.computed, lanes)

    def read(line: Pointer) -> ir.Value:
        room.store(code.zero(numbers.vector))
        with code.loop(0, count) as k:
            room.store(numbers.load(code, line, begin + k), k)
        return room.load(0, lanes)

    return read


def _write(
    code: Code,
    numbers: Numbers,
    job: Job,
    ends: list[ir.Value],
    target: Pointer,
    bias: Pointer,
    row0: Int,
    present: Int,
) -> None:
    """Add up the lanes of each row's sums, add the bias, round once, and write the rows present."""
    height = min(len(ends), numbers.lanes)
    block = code.stack(numbers.computed, len(ends))
    biases = code.stack(numbers.computed, len(ends))
    for first in range(0, len(ends), height):
        block.store(_sums_of_lanes(code, ends[first : first + height]), first)
    with code.loop(0, present) as r:
        biases.store(code.zero(numbers.computed), r)
    with code.when(job[Word.HAS_BIAS].equals(1)), code.loop(0, present) as r:
        biases.store(numbers.load(code, bias, (row0 + r) * job[Word.BIAS_C]), r)
    dense = code.both(present.equals(len(ends)), job[Word.TARGET_C].equals(1))
    with code.either(dense) as (together, apart):
        with together:
            value = code.add(block.load(0, len(ends)), biases.load(0, len(ends)))
            numbers.store(code, finished(code, numbers, value, target), target)
        with apart, code.loop(0, present) as r:
            at = target + r * job[Word.TARGET_C]
            numbers.store(code, finished(code, numbers, code.add(block.load(r), biases.load(r)), at), at)


def _sums_of_lanes(code: Code, vectors: list[ir.Value]) -> ir.Value:
    """The sum of the lanes of each vector, as one vector; a power of two of them, no more than lanes.

    Two by two, neighbours of both are added at once: half as many vectors, of partial sums of both in turn.
    """
    lanes, count = vectors[0].type.count, len(vectors)
    step = 1
    while len(vectors) > 1:
        low = [lane + (lanes - step if lane & step else 0) for lane in range(lanes)]
        high = [lane + (lanes if lane & step else step) for lane in range(lanes)]
        vectors = [
            code.add(code.shuffle(a, b, low), code.shuffle(a, b, high))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        step *= 2
    (vector,) = vectors
    while step < lanes:  # The same order as with more vectors: neighbours, pairs of them, …
        folded = code.shuffle(vector, vector, [lane ^ step for lane in range(lanes)])
        vector = code.add(vector, folded)
        step *= 2
    return code.shuffle(vector, vector, range(count)) if count < lanes else vector
