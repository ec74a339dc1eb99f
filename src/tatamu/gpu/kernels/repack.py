"""A weight with its channels side by side, as tiles of the implicit GEMM read them."""

import triton
import triton.language as tl


@triton.jit
def repack(weight, packed, outputs, depth, height, width, wide: tl.constexpr, block: tl.constexpr):
    """Copy a `Weight` into `packed`, dense in the order (O, kh, kw, C / groups)."""
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    flat = program * block + tl.arange(0, block)
    mask = flat < outputs * depth * height * width
    c, rest = flat % depth, flat // depth
    j, rest = rest % width, rest // width
    i, o = rest % height, rest // height
    at = o * weight.result + c * weight.depth + i * weight.h + j * weight.w
    tl.store(packed + flat, tl.load(weight.pointer + at, mask=mask, other=0), mask=mask)
