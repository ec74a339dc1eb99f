"""Run a lowered pass on operands given by address."""

from __future__ import annotations

from tatamu.engine.lowering.common import Lowered
from tatamu.engine.runtime import jit, memory, threads
from tatamu.engine.target import Target

_WORTH_A_THREAD = 1 << 19


class Call:
    """A pass ready to run on any operands with the sizes and strides it was lowered for."""

    def __init__(self, lowered: Lowered, target: Target) -> None:
        self.lowered = lowered
        self._function = jit.function(lowered.kernel, target)
        self._table = lowered.table.buffer_info()[0]

    def run(self, source: int, second: int, bias: int, result: int, most_threads: int) -> None:
        """Compute on up to ``most_threads`` threads, without the interpreter's lock.

        The operands' addresses: what is gathered, the second operand, the bias (0 for none), the result.
        """
        lowered = self.lowered
        count = threads.usable(min(most_threads, 1 + lowered.operations // _WORTH_A_THREAD))
        with memory.workspace(lowered.shared_bytes + count * lowered.scratch_bytes) as scratch:
            self._function(self._table, source, second, bias, result, scratch, count)
