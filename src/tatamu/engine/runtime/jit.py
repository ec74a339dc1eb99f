"""IR → optimised machine code → a function to call."""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Protocol

import llvmlite.binding as llvm
from llvmlite import ir

from tatamu.engine.runtime import cache, threads
from tatamu.engine.target import Target

_lock = threading.Lock()


class Kernel(Protocol):
    """A description that can be built for a target; equal descriptions are one kernel."""

    def name(self, target: Target) -> str:
        """Dtype, technique, tile, layouts, target."""

    def build(self, target: Target) -> ir.Module:
        """The kernel as IR; it exports one function of that name."""


PassFunction = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6, ctypes.c_int64)
"""table, source, second operand, bias, target, workspace, threads."""


@functools.lru_cache(maxsize=None)
def target_machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for a target."""
    if target.triple.startswith("aarch64") and not llvm.get_process_triple().startswith("aarch64"):
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    else:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    description = llvm.Target.from_triple(target.triple)
    return description.create_target_machine(cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="default")


def emit_object(kernel: Kernel, target: Target) -> bytes:
    """Build, check, optimise and assemble a kernel: the bytes of a relocatable object file."""
    machine = target_machine(target)
    module = llvm.parse_assembly(str(kernel.build(target)))
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    # Kernels are vectorised and unrolled by hand; LLVM's attempts at their edge loops only cost time.
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


@functools.lru_cache(maxsize=1)
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
