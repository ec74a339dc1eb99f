"""A pass of a convolution → the kernels that compute it, their tiles and their arguments."""
