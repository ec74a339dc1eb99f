"""The same layer on NVIDIA GPUs, by kernels in Triton.

Nothing in here is imported before a tensor on a GPU is convolved: `autograd.operators` asks `availability`,
and only then imports `launch`, which imports Triton.
"""
