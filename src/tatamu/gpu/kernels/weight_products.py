"""Grad weight as a matrix product on tensor cores: result channels × (taps × channels), summed over pixels.

Pixels are divided among programs (`splits`), each of which leaves its sums in float32; `sums.add_up` adds
them in one order, so that the same call gives the same bits. A tile has either one tap and many channels, or
(`joint`) several taps with their few channels. Tiles of narrow groups (`bundle`) hold products between groups
too, which are not stored.
"""

import triton
import triton.language as tl

from tatamu.gpu.kernels.positions import inside, padded


@triton.jit
def multiply_pixels(
    gradient, source, result, split_stride, rows, columns, batch, groups, width, depth, splits,
    mode: tl.constexpr, bounded: tl.constexpr, joint: tl.constexpr, bundle: tl.constexpr,
    channels_fast: tl.constexpr, wide: tl.constexpr, precision: tl.constexpr,
    block_channels: tl.constexpr, block_depth: tl.constexpr, block_pixels: tl.constexpr,
):  # fmt: skip
    """One tile of the sums of one split.

    Args:
        gradient, source: `Images`, the gradient of the output and the input.
        result: `Weight`; its depth is the input's channels of a group. split_stride: elements from the sums
            of one split to those of the next.
        width, depth: output and input channels of a group. Others as those of `products.multiply`.
    """
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    taps = rows.taps * columns.taps
    blocks = tl.cdiv(bundle * depth, block_depth)
    tiles_k = tl.cdiv(taps * depth, block_depth) if joint else taps * blocks
    tiles_n = tl.cdiv(bundle * width, block_channels)
    # Tiles of one split read the same pixels: they run at the same time.
    of_k, rest = program % tiles_k, program // tiles_k
    of_n, rest = rest % tiles_n, rest // tiles_n
    bundles = tl.cdiv(groups, bundle)
    group, split = rest % bundles * bundle, rest // bundles
    lanes = tl.arange(0, block_depth)
    present = tl.minimum(groups - group, bundle)
    if joint:
        flat = of_k * block_depth + lanes
        tap = flat // depth
        c = flat - tap * depth
        exists = flat < taps * depth
    else:
        tap = of_k // blocks
        c = (of_k - tap * blocks) * block_depth + lanes
        exists = c < present * depth
    i = tap // columns.taps
    j = tap - i * columns.taps
    o = of_n * block_channels + tl.arange(0, block_channels)
    real = o < present * width
    pixel_lanes = tl.arange(0, block_pixels)
    grid = rows.outputs * columns.outputs
    pixels = batch * grid
    total = tl.zeros([block_channels, block_depth], tl.float32)
    at_o = group * gradient.group + o * gradient.c
    at_c = group * source.group + c * source.c
    steps = tl.cdiv(tl.cdiv(pixels, block_pixels), splits)
    first = split * steps
    for step in range(first, tl.minimum(first + steps, tl.cdiv(pixels, block_pixels))):
        m = step * block_pixels + pixel_lanes
        n = m // grid
        pixel = m - n * grid
        p = pixel // columns.outputs
        q = pixel - p * columns.outputs
        alive = m < pixels
        of_gradient = n * gradient.n + p * gradient.h + q * gradient.w
        row, column = p * rows.stride - rows.before, q * columns.stride - columns.before
        if channels_fast:
            h, w, mask = row[:, None], column[:, None], alive[:, None] & exists[None, :]
            h = h + (i[None, :] if joint else i) * rows.dilation
            w = w + (j[None, :] if joint else j) * columns.dilation
            start, along = n[:, None] * source.n, at_c[None, :]
        else:
            h, w, mask = row[None, :], column[None, :], alive[None, :] & exists[:, None]
            h = h + (i[:, None] if joint else i) * rows.dilation
            w = w + (j[:, None] if joint else j) * columns.dilation
            start, along = n[None, :] * source.n, at_c[:, None]
        if bounded:
            if mode == "zeros":
                mask = mask & inside(h, rows.size) & inside(w, columns.size)
            else:
                h, w = padded(h, rows.size, mode), padded(w, columns.size, mode)
        x = tl.load(source.pointer + (start + h * source.h + w * source.w + along), mask=mask, other=0.0)
        # Triton finds out by itself which of its axes lies side by side; that of x it cannot, in planes.
        at = of_gradient[None, :] + at_o[:, None]
        g = tl.load(gradient.pointer + at, mask=alive[None, :] & real[:, None], other=0.0)
        if channels_fast:
            total = tl.dot(g, x, total, input_precision=precision)
        else:
            total = tl.dot(g, tl.trans(x), total, input_precision=precision)
    owner_o, owner_c = o[:, None] // width, c[None, :] // depth
    stored = real[:, None] & exists[None, :] & (owner_o == owner_c)
    at = (group + owner_o) * result.group + (o[:, None] - owner_o * width) * result.result
    at += (c[None, :] - owner_c * depth) * result.depth
    at += (i[None, :] if joint else i) * result.h + (j[None, :] if joint else j) * result.w
    tl.store(
        result.pointer + split * split_stride + at, total.to(result.pointer.dtype.element_ty), mask=stored
    )
