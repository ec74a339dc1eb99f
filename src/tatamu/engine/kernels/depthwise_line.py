"""Lines of depthwise results: a register tile is some pixels of a block of channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import DepthwiseKernel, depthwise_tiles
from tatamu.engine.kernels.ending import finished
from tatamu.engine.kernels.ir import I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.permutation import load_pattern, permute


@dataclass(frozen=True)
class Line:
    """The arguments of a line, in the order in which its function takes them. Steps are in bytes."""

    slab: Pointer
    """What the first tap reads for the first result: a pixel, or its address where it is read in place."""
    weights: Pointer
    bias: Pointer
    out: Pointer
    patterns: Pointer
    """The order of lanes for each channel that is summed over; see `permutation.py`."""
    rows: Int
    taps: Int
    row_step: Int
    """In the slab, from one row tap to the next; likewise ``tap_step``."""
    tap_step: Int
    result_step: Int
    """In the slab, from what a tap reads for one result to what it reads for the next."""
    weight_row_step: Int
    weight_tap_step: Int
    out_step: Int
    """Elements, not bytes, from one result to the next."""
    count: Int
    """Results of the line."""
    present: Int
    """Channels of them."""
    stretch: Int
    """Row taps that are summed before they are added to the sum of the others."""
    channel: Int
    """Bytes from an address of the table to the line's channels, where pixels are read in place."""
    depth: Int
    """Channels of a group that are summed over."""
    weight_channel_step: Int

    def values(self) -> list[Pointer | Int]:
        """In order."""
        return [getattr(self, field.name) for field in fields(self)]


def entry_bytes(kernel: DepthwiseKernel, numbers: Numbers) -> int:
    """Bytes of a pixel in the slab: of a register, or of its address."""
    return 8 if kernel.in_place else numbers.lanes * numbers.element.compute_bytes


def define_multiply_line(
    module: ir.Module, numbers: Numbers, kernel: DepthwiseKernel, taps: int | None
) -> ir.Function:
    """A line of results: ``out[p] = bias + sum over (i, k) of weight[i][k] * slab[i][p * stride + k]``.

    Its arguments are those of a `Line`. With ``taps`` column taps, side by side, or with as many as the
    arguments say. Results go to their place in the target where it is interleaved; else they are whole
    registers, of which up to a tile is written past the last.
    """
    name = "multiply_line" if taps is None else f"multiply_line_{taps}"
    code = define(module, name, [POINTER] * 5 + [I64] * 14)
    slab, weights, bias = (code.pointer(n, numbers.computed) for n in range(3))
    out = code.pointer(3, numbers.stored if kernel.target_interleaved else numbers.computed)
    steps = (code.argument(n) for n in range(5, 19))
    line = Line(slab, weights, bias, out, code.pointer(4, I64), *steps)
    tile = _Tile(code, numbers, kernel, taps, line)
    count = tile.line.count
    done = code.variable(0)
    with code.repeat_while(lambda: done.now < count):
        begin = done.now
        left = count - begin
        most: Int | None = None
        for size, least in depthwise_tiles(numbers.target):
            wanted = left >= least if most is None else code.both(left >= least, left < most)
            with code.when(wanted):
                tile.compute(size, begin)
                done.become(begin + size)
            most = code.index(least)
    code.done()
    return code.function


class _Tile:
    """Writes register tiles of one line."""

    def __init__(
        self, code: Code, numbers: Numbers, kernel: DepthwiseKernel, taps: int | None, line: Line
    ) -> None:
        self.code, self.numbers, self.kernel, self.taps, self.line = code, numbers, kernel, taps, line
        self.lanes = numbers.lanes
        self.entry_bytes = entry_bytes(kernel, numbers)
        self.bias = line.bias.load(0, self.lanes)
        self.pattern: ir.Value | None = None
        # Groups may never fill a register; single channels do, but for the last.
        often_partial = kernel.grouped and kernel.target_interleaved and numbers.target.masks
        self.mask = code.first_lanes(line.present, self.lanes) if often_partial else None
        self.spilled = code.stack(numbers.computed, depthwise_tiles(numbers.target)[0][0] * self.lanes)

    def compute(self, size: int, done: Int) -> None:
        """``size`` results from number ``done`` on; there may be fewer."""
        line, stride = self.line, self.kernel.stride
        step = self.code.index(stride * self.entry_bytes) if stride else line.result_step
        begin = line.slab.moved_bytes(done * step)
        if self.kernel.in_place and stride:
            with self.code.when(line.rows > 0):
                self._ask_for_next_rows(begin, size * stride)
        sums = [Variable(self.code, self.bias) for _ in range(size)]
        if self.taps is None:
            self._by_stretches(sums, begin)
        else:
            with self.code.loop(0, line.rows) as i:
                at, taps = begin.moved_bytes(i * line.row_step), self.taps
                with self._channels(line.weights.moved_bytes(i * line.weight_row_step)) as weights:
                    self._products(sums, weights, at, taps)
        out = line.out + done * line.out_step
        self._finish([held.get() for held in sums], out, line.count - done)

    def _ask_for_next_rows(self, begin: Pointer, pixels: int) -> None:
        """Bring the pixels nearer that the next line is the first to read: those below the last row of taps.

        Pixels of a register of channels lie too far apart for the machine to foresee them.
        """
        for row in range(self.kernel.stride):
            below = begin.moved_bytes((self.line.rows + row) * self.line.row_step)
            for pixel in range(pixels):
                entry = below.moved_bytes(pixel * self.entry_bytes).of(POINTER)
                there = Pointer(self.code, entry.load(), self.numbers.stored)
                self.code.prefetch(there.moved_bytes(self.line.channel))

    def _by_stretches(self, sums: list[Variable], begin: Pointer) -> None:
        """All products, however many."""
        code, line, lanes = self.code, self.line, self.lanes
        with code.loop(0, line.rows, line.stretch) as first:
            with code.when(first > 0):
                for number, held in enumerate(sums):
                    self.spilled.store(held.get(), number * lanes)
                    held.set(code.zero(self.numbers.vector))
            with (
                code.loop(first, (first + line.stretch).minimum(line.rows)) as i,
                self._channels(line.weights.moved_bytes(i * line.weight_row_step)) as weights,
            ):
                self._row(sums, weights, begin.moved_bytes(i * line.row_step))
            with code.when(first > 0):
                for number, held in enumerate(sums):
                    held.set(code.add(held.get(), self.spilled.load(number * lanes, lanes)))

    @contextmanager
    def _channels(self, weights: Pointer) -> Iterator[Pointer]:
        """For each channel that is summed over: its weights. Meanwhile `_pixel` puts lanes in its order."""
        if not self.kernel.grouped:
            yield weights
            return
        code, line, vector_bytes = self.code, self.line, self.numbers.target.vector_bytes
        with code.loop(0, line.depth) as channel:
            pattern = line.patterns.moved_bytes(channel * vector_bytes)
            self.pattern = load_pattern(pattern, self.numbers.target)
            yield weights.moved_bytes(channel * line.weight_channel_step)

    def _row(self, sums: list[Variable], weights: Pointer, pixels: Pointer) -> None:
        """One row of taps: in chunks, then one by one."""
        code, line, chunk = self.code, self.line, self.kernel.chunk
        whole = line.taps // chunk * chunk if chunk > 1 else code.index(0)
        if chunk > 1:
            with code.loop(0, whole, chunk) as k:
                at = pixels.moved_bytes(k * line.tap_step)
                self._products(sums, weights.moved_bytes(k * line.weight_tap_step), at, chunk)
        with code.loop(whole, line.taps) as k:
            weight, at = weights.moved_bytes(k * line.weight_tap_step), pixels.moved_bytes(k * line.tap_step)
            if self.kernel.stride:
                self._products(sums, weight, at, 1)
            else:
                held = weight.load(0, self.lanes)
                for number, total in enumerate(sums):
                    pixel = self._pixel(at.moved_bytes(line.result_step * number))
                    total.set(code.multiply_add(pixel, held, total.get()))

    def _products(self, sums: list[Variable], weights: Pointer, pixels: Pointer, across: int) -> None:
        """Multiply ``across`` taps side by side; each pixel is loaded once for all results that read it."""
        lanes = self.lanes
        held = [weights.moved_bytes(self.line.weight_tap_step * k).load(0, lanes) for k in range(across)]
        readers: dict[int, list[tuple[int, int]]] = {}
        for number in range(len(sums)):
            for k in range(across):
                readers.setdefault(number * self.kernel.stride + k, []).append((number, k))
        for place, found in sorted(readers.items()):
            pixel = self._pixel(pixels.moved_bytes(place * self.entry_bytes))
            for number, k in found:
                sums[number].set(self.code.multiply_add(pixel, held[k], sums[number].get()))

    def _pixel(self, entry: Pointer) -> ir.Value:
        """A register of one pixel, each lane that which it is multiplied with."""
        if not self.kernel.in_place:
            held = entry.load(0, self.lanes)
            return held if self.pattern is None else permute(self.code, self.numbers, held, self.pattern)
        there = Pointer(self.code, entry.of(POINTER).load(), self.numbers.stored)
        return self.numbers.load(self.code, there.moved_bytes(self.line.channel), 0, self.lanes)

    def _finish(self, sums: list[ir.Value], out: Pointer, left: Int) -> None:
        """Write the sums: all of their lanes and pixels, or those that are results."""
        code, numbers, lanes, step = self.code, self.numbers, self.lanes, self.line.out_step
        if not self.kernel.target_interleaved:
            for number, value in enumerate(sums):
                out.store(value, step * number)
            return
        whole, mask = left >= len(sums), self.mask
        if mask is None:
            whole = code.both(whole, self.line.present.equals(lanes))
        with code.either(whole) as (full, partial):
            with full:
                for number, value in enumerate(sums):
                    at = out + step * number
                    if mask is None:
                        numbers.store(code, finished(code, numbers, value, at), at)
                    else:
                        ended = finished(code, numbers, value, at, self.line.present)
                        code.masked_store(numbers.narrow(code, ended), at, mask, lanes)
            with partial:
                for number, value in enumerate(sums):
                    self.spilled.store(value, number * lanes)
                with code.loop(0, left.minimum(len(sums))) as pixel:
                    self._write_channels(out + pixel * step, self.spilled + pixel * lanes)

    def _write_channels(self, out: Pointer, held: Pointer) -> None:
        """One result, of the channels present."""
        code, numbers, lanes = self.code, self.numbers, self.lanes
        if numbers.target.masks:
            mask = code.first_lanes(self.line.present, lanes)
            value = finished(code, numbers, held.load(0, lanes), out, self.line.present)
            code.masked_store(numbers.narrow(code, value), out, mask, lanes)
        else:
            with code.loop(0, self.line.present) as lane:
                at = out + lane
                numbers.store(code, finished(code, numbers, held.load(lane), at), at)
