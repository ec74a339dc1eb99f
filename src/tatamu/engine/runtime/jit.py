"""IR → optimised machine code → a function to call."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import threading
from typing import TYPE_CHECKING, Protocol

import llvmlite.binding as llvm

from tatamu.engine.runtime import cache, threads
from tatamu.engine.target import Target

if TYPE_CHECKING:
    from llvmlite import ir

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
def target_machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for a target."""
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


def emit_object(kernel: Kernel, target: Target) -> bytes:
    """Build, check, optimise and assemble a kernel: the bytes of a relocatable object file."""
    machine = target_machine(target)
    # Among all objects that torch has made, a collection takes as long as the compiler; IR has cycles.
    collecting = gc.isenabled()
    gc.disable()
    try:
        text = str(kernel.build(target))
    finally:
        if collecting:
            gc.enable()
    module = llvm.parse_assembly(text)
    module.verify()
    _optimise(module, machine)
    code: bytes = machine.emit_object(module)
    return code


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
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)


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
        code = emit_object(kernel, target)
        cache.store(kernel.name(target), target, code)
    linker = _linker(target)
    linker.add_object_file(llvm.ObjectFileRef.from_data(code))
    linker.finalize_object()
    return PassFunction(linker.get_function_address(kernel.name(target)))
