"""A pass of a convolution on operands given by strides → a kernel, its table and its workspace."""
