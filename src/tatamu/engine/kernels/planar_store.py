"""Sums whose lanes are result channels → results, biases added; for planes they are turned in registers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.channel_results import biases_in_lanes
from tatamu.engine.kernels.ending import finished, has_ending
from tatamu.engine.kernels.ir import I1, I64, POINTER, Code, Int, Pointer, Variable, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job
from tatamu.engine.kernels.permutation import transpose


@contextmanager
def runs(code: Code, begin: Int, end: Int, length: Int) -> Iterator[tuple[Int, Int, Int, Int]]:
    """Loop over the lines, of ``length`` pixels, that some pixels belong to.

    Gives the line, the first of them in it and their number, and how many came before.
    """
    at = code.variable(begin)
    with code.repeat_while(lambda: at.now < end):
        first = at.now
        line = first // length
        x = first - line * length
        count = (length - x).minimum(end - first)
        yield line, x, count, first - begin
        at.become(first + count)


def define_store_channels(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write some registers of result channels of some pixels of a task.

    Arguments: job, tiles ``[register][pixel][lane]`` (at the first pixel), target (of this group and
    the first image), biases of the group, first result channel, result channels, first pixel and the one
    past the last, first row and rows of the task. A register of pixels may be read from the tiles beyond
    the last.
    """
    lanes = numbers.lanes
    code = define(module, "store", [POINTER] * 4 + [I64] * 6)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    tiles, target = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    bias = code.pointer(3, numbers.stored)
    m, across, begin, end, row0, rows = (code.argument(n) for n in range(4, 10))
    grid_w, step = job[Word.GRID_W], job[Word.TARGET_W]
    # Rows that follow one another in the result are one.
    joined = (grid_w * step).equals(job[Word.TARGET_H])
    lines, length = code.select(joined, 1, rows), code.select(joined, rows * grid_w, grid_w)
    with code.loop(0, across, lanes) as v:
        present = (across - v).minimum(lanes)
        biases = biases_in_lanes(code, numbers, job, bias + (m + v) * job[Word.BIAS_C], present)
        of_register = tiles + v * job[Word.TILE_PITCH]
        channel = target + ((m + v) * job[Word.TARGET_C] + row0 * job[Word.TARGET_H])
        with runs(code, begin, end, length) as (line, x, count, before):
            row = (line // lines) * job[Word.TARGET_N] + (line % lines) * job[Word.TARGET_H]
            at, sums = channel + (row + x * step), of_register + before * lanes
            store = _Results(code, numbers, job, at, sums, biases, count, present)
            beside = job[Word.TARGET_C].equals(1)
            with code.either(beside) as (pixels, planes):
                with pixels:
                    store.channels_side_by_side(step)
                with planes, code.either(step.equals(1)) as (dense, apart):
                    with dense:
                        store.pixels_side_by_side()
                    with apart:
                        store.pixels_apart(step)
    code.done()
    return code.function


class _Results:
    """A line of results of a register of channels."""

    def __init__(
        self,
        code: Code,
        numbers: Numbers,
        job: Job,
        target: Pointer,
        sums: Pointer,
        biases: ir.Value,
        count: Int,
        present: Int,
    ) -> None:
        self.code, self.numbers, self.lanes = code, numbers, numbers.lanes
        self.target, self.sums, self.biases = target, sums, biases
        self.count, self.present, self.step_c = count, present, job[Word.TARGET_C]

    def _turned(self, x: Int) -> list[ir.Value]:
        """A register of pixels, from ``x`` on, of each plane."""
        code, lanes = self.code, self.lanes
        pixels = [code.add(self.sums.load((x + p) * lanes, lanes), self.biases) for p in range(lanes)]
        return transpose(code, pixels)

    def channels_side_by_side(self, step: Int) -> None:
        """Registers of channels, as they are."""
        code, numbers, lanes = self.code, self.numbers, self.lanes
        mask = code.first_lanes(self.present, lanes) if numbers.target.masks else None
        with code.loop(0, self.count) as x:
            value, at = code.add(self.sums.load(x * lanes, lanes), self.biases), self.target + x * step
            with code.either(self.present.equals(lanes)) as (full, partial):
                with full:
                    numbers.store(code, finished(code, numbers, value, at), at)
                with partial:
                    self._some(value, at, self.present, mask)

    def pixels_side_by_side(self) -> None:
        """Registers of pixels."""
        code, numbers, lanes = self.code, self.numbers, self.lanes
        with code.loop(0, self.count, lanes) as x:
            planes, left = self._turned(x), self.count - x
            whole = code.both(left >= lanes, self.present.equals(lanes))
            with code.either(whole) as (full, partial):
                with full:
                    for number, plane in enumerate(planes):
                        at = self.target + (x + self.step_c * number)
                        numbers.store(code, finished(code, numbers, plane, at), at)
                with partial:
                    mask = code.first_lanes(left, lanes) if numbers.target.masks else None
                    for number, plane in enumerate(planes):
                        with code.when(self.present > number):
                            self._some(plane, self.target + (x + self.step_c * number), left, mask)

    def pixels_apart(self, step: Int) -> None:
        """Results that belong to one of several stride phases: those of gradients, which have no ending."""
        if not self.numbers.target.masks or has_ending(self.code):
            self._one_by_one(step)
            return
        with self.code.either(step.equals(2)) as (alternate, sparse):
            with alternate:
                self._every_other()
            with sparse:
                self._one_by_one(step)

    def _every_other(self) -> None:
        """Registers with a gap after each pixel: what lies between belongs to another stride phase."""
        code, lanes = self.code, self.lanes
        spread = [[lane // 2 + half for lane in range(lanes)] for half in (0, lanes // 2)]
        even = ir.Constant(ir.VectorType(I1, lanes), [lane % 2 == 0 for lane in range(lanes)])
        with code.loop(0, self.count, lanes) as x:
            planes, left = self._turned(x), (self.count - x) * 2
            masks = [code.both(even, code.first_lanes(left - start, lanes)) for start in (0, lanes)]
            for number, plane in enumerate(planes):
                with code.when(self.present > number):
                    at = self.target + (x * 2 + self.step_c * number)
                    narrow = self.numbers.narrow(code, plane)
                    for half, (order, mask) in enumerate(zip(spread, masks, strict=True)):
                        value = code.shuffle(narrow, narrow, order)
                        code.masked_store(value, at + half * lanes, mask, lanes)

    def _one_by_one(self, step: Int) -> None:
        """Each result at its place."""
        code, numbers, lanes = self.code, self.numbers, self.lanes
        room = code.stack(numbers.computed, lanes)
        with code.loop(0, self.count) as x:
            room.store(code.add(self.sums.load(x * lanes, lanes), self.biases))
            with code.loop(0, self.present) as lane:
                at = self.target + (x * step + lane * self.step_c)
                numbers.store(code, finished(code, numbers, room.load(lane), at), at)

    def _some(self, value: ir.Value, target: Pointer, count: Int, mask: ir.Value | None) -> None:
        """Finish and write the first ``count`` lanes alone, or all where there are more."""
        code, numbers = self.code, self.numbers
        value = numbers.narrow(code, finished(code, numbers, value, target, count))
        if mask is not None:
            code.masked_store(value, target, mask, self.lanes)
            return
        held = Variable(code, value)
        for number in range(self.lanes):
            with code.when(count > number):
                target.store(code.lane(held.get(), number), number)
