"""Run a lowered pass on operands given by address."""

from __future__ import annotations

from tatamu.engine.lowering.common import Lowered
from tatamu.engine.planning.common import WORTH_A_THREAD
from tatamu.engine.runtime import jit, memory, threads
from tatamu.engine.target import Target


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

    def run(
        self,
        source: int,
        second: int,
        bias: int,
        result: int,
        most_threads: int,
        packed: int = 0,
        filled: int = 0,
        residual: int = 0,
    ) -> None:
        """Compute on up to ``most_threads`` threads, without the interpreter's lock.

        The operands' addresses: what is gathered, the second operand, the bias (0 for none), the result.
        ``packed`` is room for the packed weights that outlives the call, 0 for none; with ``filled`` 1 it
        holds them already. ``residual`` is the address of what the pass's ending adds, if it does.
        """
        count = 1
        if self._operations >= WORTH_A_THREAD:
            count = threads.usable(min(most_threads, 1 + self._operations // WORTH_A_THREAD))
        size = count * self._scratch_bytes
        workspace = memory.take(size if packed else size + self._shared_bytes)
        try:
            _, address, words, words_address, _ = workspace
            words[:10] = [self._table, source, second, bias, result, address, count, packed, filled, residual]
            self._function(words_address)
        finally:
            memory.give_back(workspace)
