"""Two stretches of memory to be compared → the kernel that does it."""

from __future__ import annotations

from tatamu.engine.kernels.descriptions import COMPARED_BYTES, ComparisonKernel
from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.common import Lowered
from tatamu.engine.tables import Table

_SCRATCH = 64


def lower_comparison(size: int) -> Lowered:
    """Compare ``size`` bytes, `ComparisonKernel.least_bytes` or more.

    Operands are both stretches, and as the result a 64-bit 0 that becomes 1 where they differ.
    """
    table = Table(1)
    tasks = -(-size // COMPARED_BYTES)
    table.set_job(0, {Word.TASKS: tasks, Word.BYTES: size})
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=1, SHARED=0, SCRATCH=_SCRATCH)
    return Lowered(ComparisonKernel(), table.words, 0, _SCRATCH, size, "comparison")
