"""The one function of a kernel that is called from outside: a whole pass, threads included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tatamu.engine.ending import Ending
from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import I8, I32, I64, POINTER, Code, Int, Module, Pointer, define
from tatamu.engine.kernels.job import GOMP_PARALLEL, CallWord, Header, Word
from tatamu.engine.kernels.packing import Job
from tatamu.engine.target import Target


@dataclass(frozen=True)
class Arguments:
    """The operands of a pass, as addresses without a type."""

    source: Pointer
    second: Pointer
    bias: Pointer
    target: Pointer


Task = Callable[[Code, Job, Arguments, Pointer, Pointer, Int], None]
"""Writes one task: job, operands, packed weights, the thread's scratch, the task's number in its job."""


def module_for(target: Target, ending: Ending | None = None) -> ir.Module:
    """An empty module for a target, whose results may have an ending."""
    return Module(target.triple, ending)


def _body(module: ir.Module, name: str, task: Task, tasks: Header) -> ir.Function:
    """What each thread runs: take tasks, a grain at a time, until none is left."""
    code = define(module, name, [POINTER], outermost=True)
    shared = code.pointer(0, POINTER)
    table = Pointer(code, shared.load(CallWord.TABLE), I64)
    operands = (CallWord.SOURCE, CallWord.SECOND, CallWord.BIAS, CallWord.TARGET)
    arguments = Arguments(*(Pointer(code, shared.load(word), I8) for word in operands))
    workspace = Pointer(code, shared.load(CallWord.WORKSPACE), I8)
    brought = shared.of(I64).read_index(CallWord.PACKED)
    in_workspace = brought.equals(0)
    begins = code.select(in_workspace, table.read_index(Header.SHARED), 0)
    packed = code.builder.select(in_workspace, workspace.raw, code.builder.inttoptr(brought.value, POINTER))

    def take(counter: CallWord, amount: Int) -> Int:
        return Int(code, code.builder.atomic_rmw("add", (shared + counter).raw, amount.value, "monotonic"))

    number = take(CallWord.TAKEN, code.index(1))
    scratch = workspace + (begins + number * table.read_index(Header.SCRATCH))
    # Scratch begins with what it was last filled for: nothing yet.
    scratch.of(I64).store(I64(0))
    total = table.read_index(tasks)
    grain = table.read_index(Header.GRAIN) if tasks is Header.TASKS else code.index(1)
    begin = code.variable(take(CallWord.NEXT, grain))
    with code.repeat_while(lambda: begin.now < total):
        with code.loop(begin.now, (begin.now + grain).minimum(total)) as t:
            words = code.variable(Header.FIRST_JOB)
            if tasks is Header.TASKS:
                with code.loop(1, table.read_index(Header.JOBS)) as j:
                    place = j * int(Word.LENGTH) + int(Header.FIRST_JOB)
                    with code.when(table.read_index(place + int(Word.FIRST_TASK)) <= t):
                        words.become(place)
            job = Job(code, table, table + words.now)
            first = job[Word.FIRST_TASK] if tasks is Header.TASKS else code.index(0)
            task(code, job, arguments, Pointer(code, packed, I8), scratch, t - first)
        begin.become(take(CallWord.NEXT, grain))
    code.done()
    return code.function


def define_entry(module: ir.Module, name: str, main: Task, pack: Task | None = None) -> None:
    """Define the exported function, of one argument: the words of the call (`CallWord`).

    ``pack`` packs the weights before ``main`` begins, unless the call brings them packed. One thread
    runs both in place; more are a parallel region of the OpenMP library that the process already uses.
    """
    packing = None if pack is None else _body(module, "pack", pack, Header.PACK_TASKS)
    computing = _body(module, "main", main, Header.TASKS)
    function = ir.Function(module, name, [POINTER])
    code = Code(function)
    call = code.pointer(0, I64)
    parallel = ir.Function(module, GOMP_PARALLEL, [POINTER, POINTER, I32, I32])
    threads = call.read_index(CallWord.THREADS)

    def run(phase: ir.Function) -> None:
        for counter in (CallWord.TAKEN, CallWord.NEXT):
            call.store(I64(0), counter)
        with code.either(threads > 1) as (many, alone):
            with many:
                code.call(parallel, phase, call, code.builder.trunc(threads.value, I32), I32(0))
            with alone:
                code.call(phase, call)

    if packing is not None:
        some = Pointer(code, call.of(POINTER).load(CallWord.TABLE), I64).read_index(Header.PACK_TASKS) > 0
        with code.when(code.both(some, call.read_index(CallWord.FILLED).equals(0))):
            run(packing)
    run(computing)
    code.done()
