"""Descriptions of kernels as LLVM IR. They describe; they never execute."""
