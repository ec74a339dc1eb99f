"""The kernels, in Triton: one file for each family. What they are given: `operands`."""
