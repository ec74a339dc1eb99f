"""The maps of a convolution and their derivatives.

The output y(x, w), the gradient of the input gx(gy, w) and the gradient of the weight gw(gy, x) are three
bilinear maps, and the derivatives of each are the other two. `operators` says so once, for every kind of
differentiation, transform, tracing and compilation; `eager` is a shortcut for the usual call, which needs
none of that.
"""
