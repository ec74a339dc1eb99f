"""Run a lowered pass on operands given by address."""

from __future__ import annotations

from tatamu.engine.lowering.common import Lowered
from tatamu.engine.runtime import jit, memory, threads
from tatamu.engine.target import Target

_WORTH_A_THREAD = 1 << 19


class Call:
    """A pass ready to run on any operands with the sizes and strides it was lowered for."""

    __slots__ = ("_function", "_operations", "_scratch_bytes", "_shared_bytes", "_table", "lowered")

    def __init__(self, lowered: Lowered, target: Target) -> None:
        self.lowered = lowered
        self._function = jit.function(lowered.kernel, target)
        self._table = lowered.table.buffer_info()[0]
        self._operations = lowered.operations
        self._shared_bytes = lowered.shared_bytes
        self._scratch_bytes = lowered.scratch_bytes

    def run(self, source: int, second: int, bias: int, result: int, most_threads: int) -> None:
        """Compute on up to ``most_threads`` threads, without the interpreter's lock.

        The operands' addresses: what is gathered, the second operand, the bias (0 for none), the result.
        """
        count = 1
        if self._operations >= _WORTH_A_THREAD:
            count = threads.usable(min(most_threads, 1 + self._operations // _WORTH_A_THREAD))
        workspace = memory.take(self._shared_bytes + count * self._scratch_bytes)
        try:
            _, address, words, words_address, _ = workspace
            words[:7] = [self._table, source, second, bias, result, address, count]
            self._function(words_address)
        finally:
            memory.give_back(workspace)
