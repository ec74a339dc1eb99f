"""The peak of the processor: what no convolution that multiplies for every tap surpasses."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

import llvmlite.binding as llvm

from tatamu.engine.target import Target, host
from tatamu.measuring.timing import PAUSE

ACCUMULATORS = 12
"""Independent sums: enough to hide the latency of two multiply-adds a cycle, few enough for registers."""
STEPS = 1 << 22
ROUNDS = 20


def peak(threads: int) -> float:
    """The most float32 operations a second that multiply-adds in registers reach, a multiply-add being two.

    No convolution that multiplies for every tap is faster. The best of some rounds: a peak is not a mean.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = host()
    module = llvm.parse_assembly(_assembly(target))
    module.verify()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(target.cpu, target.features, opt=3)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    run = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64)(engine.get_function_address("peak"))
    time.sleep(PAUSE)
    operations = 2 * ACCUMULATORS * target.lanes(4) * STEPS * threads
    return max(operations / _seconds(run, threads) for _ in range(ROUNDS))


def _seconds(run: Callable[[int], float], threads: int) -> float:
    everyone = [threading.Thread(target=run, args=(STEPS,)) for _ in range(threads)]
    start = time.perf_counter()
    for it in everyone:
        it.start()
    for it in everyone:
        it.join()  # ctypes gives up Python's lock during the call.
    return time.perf_counter() - start


def _assembly(target: Target) -> str:
    """A loop of multiply-adds on vectors: a = a·x + c for each accumulator, x not known beforehand."""
    lanes = target.lanes(4)
    vector = f"<{lanes} x float>"
    each = range(ACCUMULATORS)
    phis = "\n".join(f"%a{i} = phi {vector} [%start, %entry], [%b{i}, %loop]" for i in each)
    steps = "\n".join(
        f"%b{i} = call {vector} @llvm.fma.v{lanes}f32({vector} %a{i}, {vector} %x, {vector} %x{i})"
        for i in each
    )
    addends = "\n".join(f"%x{i} = fadd {vector} %x, splat (float {i}.0)" for i in each)
    sums = "\n".join(f"%s{i} = fadd {vector} %b{i}, %{'x' if i == 0 else f's{i - 1}'}" for i in each)
    return f"""
target triple = "{target.triple}"
declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})
define float @peak(i64 %steps) {{
entry:
  %seed = uitofp i64 %steps to float
  %tiny = fdiv float 1.0, %seed
  %one = insertelement {vector} poison, float %tiny, i32 0
  %x = shufflevector {vector} %one, {vector} poison, <{lanes} x i32> zeroinitializer
  %start = fadd {vector} %x, splat (float 1.0)
  {addends}
  br label %loop
loop:
  %step = phi i64 [0, %entry], [%next, %loop]
  {phis}
  {steps}
  %next = add i64 %step, 1
  %more = icmp ult i64 %next, %steps
  br i1 %more, label %loop, label %exit
exit:
  {sums}
  %result = extractelement {vector} %s{ACCUMULATORS - 1}, i32 0
  ret float %result
}}
"""
