"""Register tiles of grad weight with channels in lanes: some taps of some channels of grad output."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ahead import Ahead
from tatamu.engine.kernels.descriptions import DepthwiseWeightKernel
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import ADDRESS_BYTES, Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import load_pattern, permute

_STRIDED_LINES = 3
"""Fetched ahead besides, where a pixel of grad output comes with several of the input."""


@dataclass(frozen=True)
class Grads:
    """Where grad output lies that a tile reads, and bytes from one line and pixel of it to the next."""

    first: Pointer
    line: Int
    pixel: Int


class Tiles:
    """The register tiles that cover the taps: whole ones, and those at the end of an axis.

    The slab has `entry_bytes` for a pixel: a register, or its address.
    """

    def __init__(self, kernel: DepthwiseWeightKernel, module: ir.Module, numbers: Numbers) -> None:
        self.kernel, self.numbers = kernel, numbers
        self.entry_bytes = ADDRESS_BYTES if kernel.in_place else numbers.target.vector_bytes
        self.functions = {
            (channels, down, across): self._define(module, channels, down, across)
            for channels in filter(None, kernel.channels if any(kernel.channels) else (1,))
            for down in filter(None, kernel.rows)
            for across in filter(None, kernel.taps)
        }

    def accumulate(
        self, code: Code, job: Job, slab: Pointer, grads: Grads, sums: Pointer, lines: Int, width: Int,
        columns: Int, channel: Int, ahead: Pointer | None,
    ) -> None:  # fmt: skip
        """Add the products of some lines to the sums of all taps; ``channel`` bytes behind an address."""
        lanes, register, entry = self.numbers.lanes, self.numbers.target.vector_bytes, self.entry_bytes
        row, tap = job[Word.TAP_STEP_H] * columns, job[Word.TAP_STEP_W]
        row_sums, tap_sums, channel_sums = (
            job[word] for word in (Word.PANEL_ROW, Word.PANEL_COLUMN, Word.PANEL_CHANNEL)
        )
        patterns = job.table + job[Word.PATTERN_TABLE]

        def tile(tile: tuple[int, int, int], d: Index, i: Index, k: Index) -> None:
            code.call(
                self.functions[tile],
                slab.moved_bytes((row * i + tap * k) * entry),
                grads.first,
                sums + (channel_sums * d + row_sums * i + tap_sums * k) * lanes,
                patterns.moved_bytes(code.index(d) * register) if ahead is None else ahead,
                lines,
                width,
                job[Word.STRIDE_H] * columns * entry,
                job[Word.STRIDE_W] * entry,
                row * entry,
                tap * entry,
                channel_sums * register,
                row_sums * register,
                tap_sums * register,
                grads.line,
                grads.pixel,
                channel,
            )

        def columns_of(channels: int, down: int, d: Index, i: Index) -> None:
            (most, rest), count = self.kernel.taps, job[Word.TAPS_ACROSS]
            with code.loop(0, count - rest, most) as k:
                tile((channels, down, most), d, i, k)
            if rest:
                tile((channels, down, rest), d, i, count - rest)

        def rows_of(channels: int, d: Index) -> None:
            (most, rest), count = self.kernel.rows, job[Word.ROW_TAPS]
            with code.loop(0, count - rest, most) as i:
                columns_of(channels, most, d, i)
            if rest:
                columns_of(channels, rest, d, count - rest)

        most, rest = self.kernel.channels
        if not most:
            rows_of(1, 0)
            return
        with code.loop(0, job[Word.DEPTH] - rest, most) as d:
            rows_of(most, d)
        if rest:
            rows_of(rest, job[Word.DEPTH] - rest)

    def _define(self, module: ir.Module, channels: int, down: int, across: int) -> ir.Function:
        """``sums[d][i][k] += sum over pixels of panel[pixel] * slab[pixel * stride + (i, k)]``.

        The lanes of the panel are in the order of channel d. Arguments: slab, panel, sums, orders of lanes
        (in place: an `AheadList`); lines, pixels of a line; bytes in the slab from one line, pixel, row tap
        and column tap to the next; bytes from the sums of one channel, row tap and column tap to the next; in
        the panel from one line and pixel to the next; of this register behind the addresses of a slab. Sums
        of sums: the error grows with the root of the pixels of a call.
        """
        name = f"accumulate_{channels}x{down}x{across}"
        code = define(module, name, [POINTER] * 4 + [I64] * 12)
        numbers, lanes, computed = self.numbers, self.numbers.lanes, self.numbers.computed
        slab, panel, sums = (code.pointer(n, computed) for n in range(3))
        lines, width, line_step, pixel_step, row_step, tap_step = (code.argument(n) for n in range(4, 10))
        channel_sums, row_sums, tap_sums = (code.argument(n) for n in range(10, 13))
        grad_line, grad_pixel, channel = (code.argument(n) for n in range(13, 16))
        patterns: list[ir.Value | None] = [None]
        if self.kernel.channels[0]:
            listed, register = code.pointer(3, I64), numbers.target.vector_bytes
            patterns = [
                load_pattern(listed.moved_bytes(d * register), numbers.target) for d in range(channels)
            ]
        ahead = Ahead(code, code.pointer(3, I64)) if self.kernel.in_place else None
        held = [
            [[Variable(code, code.zero(numbers.vector)) for _ in range(across)] for _ in range(down)]
            for _ in range(channels)
        ]
        with code.loop(0, lines) as line:
            begin, grads = slab.moved_bytes(line * line_step), panel.moved_bytes(line * grad_line)
            with code.loop(0, width) as x:
                if ahead is not None:
                    ahead.step()
                    with code.when(pixel_step > self.entry_bytes):
                        ahead.step(_STRIDED_LINES)
                grad = grads.moved_bytes(x * grad_pixel).load(0, lanes)
                pixel = begin.moved_bytes(x * pixel_step)
                turned = [
                    grad if pattern is None else permute(code, numbers, grad, pattern) for pattern in patterns
                ]
                for i in range(down):
                    taps = pixel.moved_bytes(row_step * i)
                    for k in range(across):
                        step = self.entry_bytes * k if self.kernel.side_by_side else tap_step * k
                        at = taps.moved_bytes(step)
                        if self.kernel.in_place:
                            at = Pointer(code, at.of(POINTER).load(), computed).moved_bytes(channel)
                        value = at.load(0, lanes)
                        for d, grad in enumerate(turned):
                            total = held[d][i][k]
                            total.set(code.multiply_add(value, grad, total.get()))
        if ahead is not None:
            ahead.leave()
        for d, of_channel in enumerate(held):
            for i, row in enumerate(of_channel):
                at = sums.moved_bytes(channel_sums * d + row_sums * i)
                for k, total in enumerate(row):
                    place = at.moved_bytes(tap_sums * k)
                    place.store(code.add(place.load(0, lanes), total.get()))
        code.done()
        return code.function
