"""Weights that are packed before the tasks begin, for all of them: a panel for each tile of rows."""

from __future__ import annotations

from collections.abc import Callable

from tatamu.engine.kernels.entry import Arguments, Task
from tatamu.engine.kernels.ir import Code, Int, Pointer
from tatamu.engine.kernels.job import Header, Word
from tatamu.engine.kernels.numbers import Numbers
from tatamu.engine.kernels.packing import Job

Fill = Callable[[Code, Job, Pointer, Pointer, Int, Int], None]
"""Writes a panel: panel, weight (of its group), first row, rows; rows past the last repeat it."""


def pack_task(numbers: Numbers, fill: Fill, width: int | None = None) -> Task:
    """The phase before the convolution: one task packs the rows of a tile, for all jobs.

    A tile has ``width`` rows; or, where lanes are rows, as many as fill ``VECTORS`` registers or are left.
    """
    unit = numbers.lanes if width is None else width

    def pack(code: Code, job: Job, arguments: Arguments, shared: Pointer, _: Pointer, task: Int) -> None:
        across = job[Word.VECTORS] * unit if width is None else code.index(unit)
        tiles = (job[Word.M] + (across - 1)) // across
        group, row0 = task // tiles, (task % tiles) * across
        weight = arguments.second.of(numbers.stored) + group * job[Word.WEIGHT_G]
        rows = ((job[Word.M] - row0).minimum(across) + (unit - 1)) // unit * unit
        with code.loop(0, job.table.read_index(Header.JOBS)) as j:
            each = Job(code, job.table, job.table + (j * int(Word.LENGTH) + int(Header.FIRST_JOB)))
            panel = packed_rows(each, shared.of(numbers.computed), group, row0)
            fill(code, each, panel, weight, row0, rows)

    return pack


def packed_rows(job: Job, packed: Pointer, group: Int, row0: Int) -> Pointer:
    """Where the packed weights of a job begin with a row, the first of its tile."""
    products = job[Word.CHANNELS] * job[Word.ROW_TAPS] * job[Word.TAPS_ACROSS]
    return packed + (job[Word.PANELS_AT] + group * job[Word.WEIGHT_PANEL] + row0 * products)
