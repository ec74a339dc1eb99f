"""Whether two stretches of memory hold the same bytes, at the speed of memory and on all threads."""

from __future__ import annotations

from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.descriptions import COMPARED_BYTES, ComparisonKernel
from tatamu.engine.kernels.entry import Arguments, define_entry, module_for
from tatamu.engine.kernels.ir import I8, I64, Code, Int, Pointer, Variable
from tatamu.engine.kernels.job import Word
from tatamu.engine.kernels.packing import Job
from tatamu.engine.target import Target


def build(kernel: ComparisonKernel, target: Target) -> ir.Module:
    """The kernel as IR: source and second are compared, and the 64-bit target becomes 1 if they differ."""
    lanes, step = target.vector_bytes, kernel.least_bytes(target)
    module = module_for(target)

    def task(
        code: Code, job: Job, arguments: Arguments, _packed: Pointer, _scratch: Pointer, task: Int
    ) -> None:
        first, second = arguments.source.of(I8), arguments.second.of(I8)
        different = arguments.target.of(I64)
        begin, size = task * COMPARED_BYTES, job[Word.BYTES]
        with code.when(different.read_index().equals(0)):  # Else there is nothing left to find out.
            found = Variable(code, code.zero(ir.VectorType(I8, lanes)))
            with code.loop(begin, (begin + COMPARED_BYTES).minimum(size), step) as place:
                at = place.minimum(size - step)
                for offset in range(0, step, lanes):
                    one, other = first.load(at + offset, lanes), second.load(at + offset, lanes)
                    found.set(code.builder.or_(found.get(), code.builder.xor(one, other)))
            unequal = code.builder.icmp_unsigned("!=", found.get(), code.zero(found.type))
            bits = code.builder.bitcast(unequal, ir.IntType(lanes))
            with code.when(code.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))):
                different.store(I64(1))

    define_entry(module, kernel.name(target), task)
    return module
