"""The second operand → panels of plain numbers; and what all packing shares."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I64, POINTER, Code, Index, Int, Pointer, define
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.permutation import transpose


@dataclass(frozen=True)
class Job:
    """A job's words and tables as the kernel reads them."""

    code: Code
    table: Pointer
    words: Pointer

    def __getitem__(self, word: Word) -> Int:
        return self.words.read_index(int(word))

    def moved(self, words: Index) -> Job:
        """The job so many words further in the same table."""
        return Job(self.code, self.table, self.words + words)


def channel_offset(numbers: Numbers, channel: Int, stride: Int) -> Int:
    """Where a channel begins; the parts of a complex channel are channels of their own, side by side."""
    parts = numbers.element.parts
    return channel * stride if parts == 1 else (channel // parts) * stride + channel % parts


class Sign:
    """Turns the sign of imaginary parts where a conjugate is asked for."""

    def __init__(self, code: Code, numbers: Numbers, negated: Int) -> None:
        self.code, self.numbers = code, numbers
        self.negated = negated if numbers.element.parts == 2 else None

    def apply(self, value: ir.Value, channel: Int) -> ir.Value:
        """The value as it counts for ``channel``."""
        if self.negated is None:
            return value
        turned = (self.negated * (channel % 2)).equals(1)
        return self.code.builder.select(turned, self.numbers.negate(self.code, value), value)


def copy_run(
    code: Code,
    numbers: Numbers,
    target: Pointer,
    source: Pointer,
    count: Int,
    step: Int,
    sign: Sign,
    channel: Int,
) -> None:
    """Copy ``count`` elements, ``step`` apart in the source; may write up to a vector beyond them."""
    lanes = numbers.lanes

    def vector(value: ir.Value, at: Int) -> None:
        target.store(sign.apply(numbers.widen(code, value), channel), at)

    with code.either(step.equals(1)) as (dense, sparse):
        with dense:
            whole = count - count % lanes
            with code.loop(0, whole, lanes) as x:
                vector(source.load(x, lanes), x)
            with code.when(whole < count):
                if numbers.target.masks:
                    vector(
                        code.masked_load(source + whole, code.first_lanes(count - whole, lanes), lanes), whole
                    )
                else:
                    with code.loop(whole, count) as x:
                        target.store(sign.apply(numbers.load(code, source, x), channel), x)
        with sparse:
            # Two dense vectors hold the elements of one that skips every other; the last of them may
            # not exist, so the final vector is left to the loop below.
            done = code.variable(0)
            with code.when(step.equals(2)):
                last = (count - 1).maximum(0)
                whole = last - last % lanes
                with code.loop(0, whole, lanes) as x:
                    low, high = source.load(x * 2, lanes), source.load(x * 2 + lanes, lanes)
                    vector(code.shuffle(low, high, range(0, 2 * lanes, 2)), x)
                done.become(whole)
            with code.loop(done.now, count) as x:
                target.store(sign.apply(numbers.load(code, source, x * step), channel), x)


def define_pack_second(module: ir.Module, numbers: Numbers, width: int, interleaved: bool) -> ir.Function:
    """Write the panel ``panel[pixel][x]`` of ``width`` channels of the second operand, zeros past the last.

    Arguments: job, panel, second operand (of this image and group), first channel, channels present,
    first pixel row, first pixel column, number of pixels, pixels of a row.
    """
    code = define(module, "pack_second", [POINTER] * 3 + [I64] * 6)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    panel, second = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    first, present, row0, column0, pixels, pitch = (code.argument(n) for n in range(3, 9))
    stride_c, stride_w = job[Word.SECOND_C], job[Word.SECOND_W]
    sign = Sign(code, numbers, job[Word.SECOND_NEGATED])
    lanes = numbers.lanes
    with code.when(present < width):
        code.fill_zero(panel, pixels * width)
    with code.loop(0, pixels // pitch) as row:
        line = second + ((row0 + row) * job[Word.SECOND_H] + column0 * stride_w)
        target = panel + row * pitch * width
        whole = present - present % lanes
        if interleaved:
            line = line + first
            with code.loop(0, pitch) as x:
                with code.loop(0, whole, lanes) as c:
                    value = numbers.load(code, line, x * stride_w + c, lanes)
                    target.store(sign_lanes(code, numbers, job, value), x * width + c)
                with code.loop(whole, present) as c:
                    target.store(
                        sign.apply(numbers.load(code, line, x * stride_w + c), first + c), x * width + c
                    )
        else:
            across = pitch - pitch % lanes
            dense = stride_w.equals(1)
            blocked = code.select(dense, across, 0)
            with code.loop(0, whole, lanes) as c, code.loop(0, blocked, lanes) as x:
                lines = []
                for lane in range(lanes):
                    at = line + channel_offset(numbers, first + c + lane, stride_c)
                    lines.append(sign.apply(numbers.load(code, at, x, lanes), first + c + lane))
                for lane, turned in enumerate(transpose(code, lines)):
                    target.store(turned, (x + lane) * width + c)
            with code.loop(0, present) as c:
                at = line + channel_offset(numbers, first + c, stride_c)
                with code.loop(code.select(c < whole, blocked, 0), pitch) as x:
                    target.store(sign.apply(numbers.load(code, at, x * stride_w), first + c), x * width + c)
    code.done()
    return code.function


def sign_lanes(code: Code, numbers: Numbers, job: Job, value: ir.Value) -> ir.Value:
    """Turn the sign of every odd lane (the imaginary parts) where a conjugate is asked for."""
    if numbers.element.parts == 1:
        return value
    turned = numbers.negate(code, value)
    alternating = code.shuffle(
        value, turned, [lane if lane % 2 == 0 else lane + numbers.lanes for lane in range(numbers.lanes)]
    )
    return code.builder.select(job[Word.SECOND_NEGATED].equals(1), alternating, value)


def define_pack_second_rows(module: ir.Module, numbers: Numbers) -> ir.Function:
    """Write rows ``panel[x][pixel]`` of the second operand, ``pitch`` elements from one to the next.

    Arguments: job, panel, second operand (of this image and group), first channel, channels present,
    first pixel row, first pixel column, number of pixels, pixels of a row, pitch.
    """
    code = define(module, "pack_second_rows", [POINTER] * 3 + [I64] * 7)
    job = Job(code, code.pointer(0, I64), code.pointer(0, I64))
    panel, second = code.pointer(1, numbers.computed), code.pointer(2, numbers.stored)
    first, present, row0, column0, pixels, run, pitch = (code.argument(n) for n in range(3, 10))
    sign = Sign(code, numbers, job[Word.SECOND_NEGATED])
    step = job[Word.SECOND_W]
    with code.loop(0, present) as x:
        begin = second + channel_offset(numbers, first + x, job[Word.SECOND_C])
        with code.loop(0, pixels // run) as row:
            line = begin + ((row0 + row) * job[Word.SECOND_H] + column0 * step)
            target = panel + (x * pitch + row * run)
            copy_run(code, numbers, target, line, run, step, sign, first + x)
        # The last copy may have written up to a register past the end.
        (panel + (x * pitch + pixels)).store(code.zero(numbers.vector))
    code.done()
    return code.function
