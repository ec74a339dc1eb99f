"""Run random convolutions between guard pages; a program of its own, because a fault ends it.

Arguments: target ('host' or 'avx2'), number of geometries, seed. Prints each case before it runs, and at the
end how many ran. Exit status 1: something was written beside a buffer, or a result depends on where it lies.
"""

# ruff: noqa: T201 - Its output is what the test reads.
from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from engine import planar_cases, tapwise_cases, winograd_cases
from engine.calls import element_type, lower, new_result, read_by, resolved
from engine.cases import PASSES, Case, Operands, case
from engine.guard import Arena
from engine.judges import bits
from tatamu.engine.execute import Call
from tatamu.engine.lowering.endings import with_ending
from tatamu.engine.runtime import memory
from tatamu.engine.target import Target, host, host_as_avx2
from tatamu.geometry import Axis, Geometry

_ARENA = 8 << 20
# Not all dtypes: each is a kernel to compile for every tile and layout. These differ in how they are stored.
DTYPES = (torch.float32, torch.bfloat16, torch.complex64, torch.uint8)


class Rig:
    """An arena for every operand, for the table and for the workspace."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.arenas = {
            name: Arena(_ARENA)
            for name in ("source", "second", "bias", "result", "residual", "table", "workspace")
        }
        self.behind = False
        self.shifted = ""
        """The buffer that is to be placed wrongly, for the test of the guard itself."""

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Workspaces come from here."""
        original = memory.take, memory.give_back
        memory.take, memory.give_back = self._workspace, lambda _: None
        try:
            yield
        finally:
            memory.take, memory.give_back = original

    def _workspace(self, size: int) -> memory.Workspace:
        # Multiples of a cache line, like every workspace.
        address = self._place("workspace", size, 0)
        ctypes.memset(address, 0xFF, size)
        return memory.workspace_at(address, size, None)

    def _place(self, name: str, size: int, away: int) -> int:
        address = self.arenas[name].place(size, behind=self.behind, away=away)
        if name == self.shifted:
            return address + (8 if self.behind else -8)
        return address

    def _copy(self, name: str, tensor: Tensor, away: int) -> int:
        """A copy of all the memory from a tensor's first element to its last; its address."""
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        size = (1 + sum((length - 1) * step for length, step in steps)) * tensor.element_size()
        address = self._place(name, size, away * tensor.element_size())
        if name != self.shifted:
            ctypes.memmove(address, tensor.data_ptr(), size)
        return address

    def run(
        self,
        which: str,
        operands: Operands,
        *,
        behind: bool,
        away: int,
        channels_last: bool,
        threads: int,
        activation: str = "",
    ) -> Tensor:
        """One pass with every buffer `away` elements from a forbidden page; its result, copied out.

        An activation comes with a residual before it, and with a frozen weight.
        """
        self.behind = behind
        result = new_result(which, operands, channels_last)
        lowered = lower(which, operands, result, self.target, frozen=bool(activation))
        added = 0
        if activation:
            lowered = with_ending(lowered, element_type(operands.input.dtype), activation, residual=True)
            added = self._copy("residual", torch.ones_like(result), away)
        call = Call(lowered, self.target)
        words = call.lowered.table
        size, skipped = len(words) * words.itemsize, 8 if self.shifted == "table" else 0
        call._table = self._place("table", size, 0)
        ctypes.memmove(call._table + skipped, words.buffer_info()[0] + skipped, size - skipped)
        source, second, bias = (
            0 if tensor is None else self._copy(name, tensor, away)
            for name, tensor in zip(("source", "second", "bias"), read_by(which, operands), strict=True)
        )
        written = self._copy("result", result, away)
        call.run(source, second, bias, written, threads, residual=added)
        for name, arena in self.arenas.items():
            if not arena.untouched():
                raise SystemExit(f"{which}: written beside the {name}")
        ctypes.memmove(result.data_ptr(), written, result.nbytes)
        return result


def catches(action: Callable[[], object]) -> bool:
    """Whether an action faults, tried in a child of this process."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGBUS)


def prove_that_the_guard_catches(target: Target) -> None:
    """Every buffer, placed one element too near a forbidden page, ends a process at either end."""
    plain = Case(Geometry(1, 4, 5, 1, Axis(6, 3, 1, 1, 1, 1), Axis(20, 3, 1, 1, 1, 1))).operands(
        torch.float64
    )

    def attempt(name: str, behind: bool) -> Callable[[], object]:
        def action() -> None:
            rig = Rig(target)
            rig.shifted = name
            with rig.guarding():
                rig.run(
                    "forward", plain, behind=behind, away=0, channels_last=False, threads=1, activation="relu"
                )

        return action

    for name in ("", "source", "second", "bias", "result", "residual", "table", "workspace"):
        for behind in (False, True):
            if name == "table" and behind:
                continue  # Its last word need not be read: an empty list may end it.
            if catches(attempt(name, behind)) != bool(name):
                raise SystemExit(
                    f"the guard {'misses' if name else 'fails without'} a wrong {name or 'buffer'}"
                )
    print("the guard catches", flush=True)


def check(rig: Rig, chosen: Case, dtype: torch.dtype, away: int, threads: int) -> None:
    """All passes of one case, flush with the page before and with the page behind."""
    operands = resolved(chosen.operands(dtype))
    passes = [(which, "") for which in (PASSES if dtype is not torch.uint8 else PASSES[:1])]
    if dtype in (torch.float32, torch.bfloat16):
        passes.append(("forward", "relu"))
    for which, activation in passes:
        print(f"{which} {activation} {dtype}, {away} away, {threads} threads: {chosen}", flush=True)
        first, second = (
            rig.run(
                which,
                operands,
                behind=behind,
                away=away,
                channels_last=chosen.channels_last,
                threads=threads,
                activation=activation,
            )
            for behind in (False, True)
        )
        if not torch.equal(bits(first), bits(second)):
            raise SystemExit("the result depends on where the operands lie")


def main(target_name: str, count: int, seed: int) -> None:
    """Run `count` geometries."""
    torch.set_num_threads(1)
    target = host() if target_name == "host" else host_as_avx2()
    prove_that_the_guard_catches(target)
    random_numbers = random.Random(seed)
    torch.manual_seed(seed)
    rig = Rig(target)
    with rig.guarding():
        for number in range(count):
            rooms = {0: winograd_cases.case, 1: planar_cases.case, 2: tapwise_cases.case}
            room = rooms.get(number % 7, case)
            chosen = room(random_numbers.randint)
            away, threads = random_numbers.choice((0, 0, 1)), random_numbers.choice((1, 1, 2))
            forced: AbstractContextManager[object] = nullcontext()
            if room is winograd_cases.case:
                forced = winograd_cases.forced(random_numbers.randint(0, 30))
            elif room is planar_cases.case:
                forced = planar_cases.forced()
            elif room is tapwise_cases.case:
                forced = tapwise_cases.forced()
            with forced:
                check(rig, chosen, DTYPES[number % len(DTYPES)], away, threads)
    print(f"{count} geometries ran")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
