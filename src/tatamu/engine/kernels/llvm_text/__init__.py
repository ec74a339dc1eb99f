"""LLVM IR as text, written an instruction at a time: as much of the language as kernels use.

The names are those of `llvmlite.ir`, which does the same from a tree of objects and takes much longer:
see docs/decisions/compile-time.md.
"""

from tatamu.engine.kernels.llvm_text.builder import Builder
from tatamu.engine.kernels.llvm_text.module import Block, Function, Module
from tatamu.engine.kernels.llvm_text.types import (
    Constant,
    FloatType,
    IntType,
    Type,
    Undefined,
    Value,
    VectorType,
)

__all__ = [
    "Block",
    "Builder",
    "Constant",
    "FloatType",
    "Function",
    "IntType",
    "Module",
    "Type",
    "Undefined",
    "Value",
    "VectorType",
]
