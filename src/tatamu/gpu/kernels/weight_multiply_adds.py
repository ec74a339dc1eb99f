"""Grad weight by plain multiply-adds: groups of few channels, and numbers tensor cores do not know.

A tile holds (taps × depth) × pixels × channels products; pixels are added up at the end. Splits and their
order are those of `weight_products`.
"""

import triton
import triton.language as tl

from tatamu.gpu.kernels.positions import inside, padded


@triton.jit
def multiply_add_pixels(
    gradient, source, result, split_stride, part_stride, rows, columns, batch, groups, width, depth, splits,
    mode: tl.constexpr, bounded: tl.constexpr, dense: tl.constexpr, channels_fast: tl.constexpr,
    wide: tl.constexpr, parts: tl.constexpr, gradient_sign: tl.constexpr, source_sign: tl.constexpr,
    sums: tl.constexpr, block_taps: tl.constexpr, block_pixels: tl.constexpr, block_channels: tl.constexpr,
):  # fmt: skip
    """One tile of the sums of one split; arguments as those of `multiply_pixels` and `multiply_add`.

    part_stride: elements from real to imaginary parts of the result.
    """
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    flat_taps = rows.taps * columns.taps * depth
    tiles_k = tl.cdiv(flat_taps, block_taps)
    at_once = width if dense else groups * width
    tiles_n = tl.cdiv(at_once, block_channels)
    of_k, rest = program % tiles_k, program // tiles_k
    of_n, rest = rest % tiles_n, rest // tiles_n
    one, split = (rest % groups, rest // groups) if dense else (0, rest)
    flat = of_k * block_taps + tl.arange(0, block_taps)
    channel = of_n * block_channels + tl.arange(0, block_channels)
    lanes = tl.arange(0, block_pixels)
    if channels_fast:
        flat, lanes, channel = flat[:, None, None], lanes[None, :, None], channel[None, None, :]
        total = tl.zeros([block_taps, block_pixels, block_channels], sums)
    else:
        flat, lanes, channel = flat[:, None, None], lanes[None, None, :], channel[None, :, None]
        total = tl.zeros([block_taps, block_channels, block_pixels], sums)
    imaginary = total
    tap = flat // depth
    c = flat - tap * depth
    i = tap // columns.taps
    j = tap - i * columns.taps
    group = one if dense else channel // width
    own = channel if dense else channel - group * width
    exists, real = flat < flat_taps, channel < at_once
    at_source = group * source.group + c * source.c
    at_gradient = group * gradient.group + own * gradient.c
    grid = rows.outputs * columns.outputs
    pixels = batch * grid
    steps = tl.cdiv(tl.cdiv(pixels, block_pixels), splits)
    first = split * steps
    for step in range(first, tl.minimum(first + steps, tl.cdiv(pixels, block_pixels))):
        m = step * block_pixels + lanes
        n = m // grid
        pixel = m - n * grid
        p = pixel // columns.outputs
        q = pixel - p * columns.outputs
        h = p * rows.stride - rows.before + i * rows.dilation
        w = q * columns.stride - columns.before + j * columns.dilation
        mask = (m < pixels) & exists
        if not dense:
            mask = mask & real
        if bounded:
            if mode == "zeros":
                mask = mask & inside(h, rows.size) & inside(w, columns.size)
            else:
                h, w = padded(h, rows.size, mode), padded(w, columns.size, mode)
        of_x = source.pointer + (n * source.n + h * source.h + w * source.w + at_source)
        of_g = gradient.pointer + (n * gradient.n + p * gradient.h + q * gradient.w + at_gradient)
        x = tl.load(of_x, mask=mask, other=0).to(sums)
        g = tl.load(of_g, mask=(m < pixels) & real, other=0).to(sums)
        total += x * g
        if parts == 2:
            x_i = tl.load(of_x + 1, mask=mask, other=0).to(sums) * source_sign
            g_i = tl.load(of_g + 1, mask=(m < pixels) & real, other=0).to(sums) * gradient_sign
            total -= x_i * g_i
            imaginary += x * g_i + x_i * g
    axis: tl.constexpr = 1 if channels_fast else 2
    element: tl.constexpr = result.pointer.dtype.element_ty
    at = group * result.group + own * result.result + c * result.depth + i * result.h + j * result.w
    at = result.pointer + split * split_stride + at
    # The axis of the pixels is one element long in addresses: what is left of it after the sum.
    tl.store(at, tl.sum(total, axis, keep_dims=True).to(element), mask=exists & real)
    if parts == 2:
        tl.store(at + part_stride, tl.sum(imaginary, axis, keep_dims=True).to(element), mask=exists & real)
