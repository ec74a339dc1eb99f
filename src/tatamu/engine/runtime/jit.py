"""IR → optimised machine code → a function to call."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import llvmlite.binding as llvm

from tatamu.engine.runtime import cache, threads
from tatamu.engine.target import Target

if TYPE_CHECKING:
    from tatamu.engine.kernels import llvm_text as ir

# One thread compiles at a time, and none while the process forks: a child would wait for ever for its locks.
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Kernel(Protocol):
    """A description that can be built for a target; equal descriptions are one kernel."""

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""


PassFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""Takes the address of the words of a call, `kernels.job.CallWord`: one argument is soon converted."""


@functools.cache
def target_machine(target: Target, _thread: int = 0) -> llvm.TargetMachine:
    """LLVM's code generator for a target; one serves one thread at a time."""
    if target.triple.startswith("aarch64") and not llvm.get_process_triple().startswith("aarch64"):
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    else:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    description = llvm.Target.from_triple(target.triple)
    # LLVM maps the sections of an object one by one. In a process with much mapped (torch for CUDA) code and
    # constants may lie further apart than 32 bits reach: addresses on x86-64 have all 64.
    far = target.triple.startswith("x86_64")
    return description.create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=2,
        reloc="static" if far else "pic",
        codemodel="large" if far else "default",
    )


def emit_objects(kernel: Kernel, target: Target) -> list[bytes]:
    """Build, check, optimise and assemble a kernel: relocatable object files that belong together.

    They are two where the kernel has several functions, made by two threads at a time.
    """
    with _uncollected():
        module = kernel.build(target)
        texts = _texts(module, kernel.name(target))
        first = next(texts)
        with ThreadPoolExecutor(1) as helper:
            # The second text is written while LLVM reads the first.
            beside = helper.submit(_emit, first, target, 1)
            objects = [_emit(text, target, 0) for text in texts]
            return [beside.result(), *objects]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Python's collector of cyclic garbage stays away: IR is thousands of objects, all of them in use.

    Where torch is loaded, it would take longer than writing the IR.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _texts(module: ir.Module, name: str) -> Iterator[str]:
    """The module in at most two parts, of functions that LLVM has about as much work with.

    What a part calls of the other it finds by name, so functions bear the kernel's.
    """
    parts: tuple[list[ir.Function], ...] = ([], [])
    defined = [function for function in module.functions.values() if function.blocks]
    for function in sorted(defined, key=lambda it: -it.size):
        min(parts, key=lambda part: sum(it.size for it in part)).append(function)
    for part in parts:
        if part:
            yield module.text(part, name)


def _emit(text: str, target: Target, thread: int) -> bytes:
    """Check, optimise and assemble a module; neither its context nor its machine is another thread's."""
    machine = target_machine(target, thread)
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    _optimise(module, machine)
    with llvm.ffi.OutputString() as error:
        emit = _unlocked(llvm.ffi.lib.LLVMPY_TargetMachineEmitToMemory)
        buffer = emit(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        begin, size = llvm.ffi.lib.LLVMPY_GetBufferStart(buffer), llvm.ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(begin, size)
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _unlocked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of LLVM's without llvmlite's lock around all of them.

    LLVM itself asks for one where threads share a context or a machine, and these do not.
    """
    return getattr(function, "_cfn", function)


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Tidy up what kernels leave to LLVM: variables in memory, common subexpressions, dead branches.

    Kernels are vectorised and unrolled by hand. LLVM's own pipelines make them no faster, and take five
    times as long.
    """
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_dead_code_elimination_pass()
    run = _unlocked(llvm.ffi.lib.LLVMPY_RunNewFunctionPassManager)
    for function in module.functions:
        if not function.is_declaration:
            run(passes, function, builder)


@functools.cache  # Its functions live as long as the linker does.
def _linker(target: Target) -> llvm.ExecutionEngine:
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(target))


_functions: dict[tuple[Kernel, Target], ctypes._FuncPointer] = {}


def function(kernel: Kernel, target: Target) -> ctypes._FuncPointer:
    """The kernel's entry, from memory, from the disk cache, or compiled now."""
    found = _functions.get((kernel, target))
    if found is not None:
        return found
    with _lock:
        found = _functions.get((kernel, target))
        if found is None:
            found = _functions[kernel, target] = _link(kernel, target)
    return found


def _link(kernel: Kernel, target: Target) -> ctypes._FuncPointer:
    threads.has_pool()
    code = cache.load(kernel.name(target), target)
    if code is None:
        code = joined(emit_objects(kernel, target))
        cache.store(kernel.name(target), target, code)
    linker = _linker(target)
    for part in parted(code):
        linker.add_object_file(llvm.ObjectFileRef.from_data(part))
    linker.finalize_object()
    return PassFunction(linker.get_function_address(kernel.name(target)))


def joined(objects: list[bytes]) -> bytes:
    """Object files as one piece, each after its length."""
    return b"".join(len(one).to_bytes(8, "little") + one for one in objects)


def parted(code: bytes) -> Iterator[bytes]:
    """The object files of one piece."""
    at = 0
    while at < len(code):
        begin = at + 8
        at = begin + int.from_bytes(code[at:begin], "little")
        yield code[begin:at]
