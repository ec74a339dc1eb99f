"""Forward and grad input by multiply-adds: groups of few channels, and numbers tensor cores do not know.

    depthwise and the like     each result channel has its own source channels: pixels × channels, elementwise
    dense                      one group: pixels × channels, an outer product for each tap and source channel

Sums are in float32, float64, or integers that wrap around. Complex numbers are pairs of them, side by side.
"""

import triton
import triton.language as tl

from tatamu.gpu.kernels.positions import image, inside, padded, positions, reach


@triton.jit
def _added(
    total, imaginary, source, weight, rows, columns, of_rows, of_columns, pixels, t_h, t_w, alive, channels,
    weights, present, depth,
    backward: tl.constexpr, mode: tl.constexpr, bounded: tl.constexpr, parts: tl.constexpr,
    source_sign: tl.constexpr, weight_sign: tl.constexpr, unrolled: tl.constexpr, partial: tl.constexpr,
):  # fmt: skip
    """Add all products of one image; `channels`, `weights`: first elements for each result channel."""
    base_h, slope_h, step_h, first_h, tap_step_h, taps_h = of_rows
    base_w, slope_w, step_w, first_w, tap_step_w, taps_w = of_columns
    height = rows.outputs if backward else rows.size
    breadth = columns.outputs if backward else columns.size
    from_h = base_h + slope_h * t_h
    from_w = base_w + slope_w * t_w
    sums: tl.constexpr = total.dtype
    for c in range(depth):
        for i in range(taps_h):
            h = from_h + i * step_h
            in_row = alive
            if bounded:
                if mode == "zeros":
                    in_row = in_row & inside(h, height)
                else:
                    h = padded(h, height, mode)
            row = source.pointer + (pixels + channels + h * source.h + c * source.c)
            tap = weight.pointer + (weights + c * weight.depth + (first_h + i * tap_step_h) * weight.h)
            for first_j in range(0, taps_w, unrolled):
                # Loads of neighbouring taps are on their way at the same time.
                for later in tl.static_range(unrolled):
                    j = first_j + later
                    w = from_w + j * step_w
                    mask, of_weight = in_row, present
                    if partial:  # A block on either side: the interpreter needs it.
                        mask = mask & (tl.zeros_like(w) + j < taps_w)
                        of_weight = of_weight & (tl.zeros_like(weights) + j < taps_w)
                    if bounded:
                        if mode == "zeros":
                            mask = mask & inside(w, breadth)
                        else:
                            w = padded(w, breadth, mode)
                    along = (first_w + j * tap_step_w) * weight.w
                    x = tl.load(row + w * source.w, mask=mask, other=0).to(sums)
                    y = tl.load(tap + along, mask=of_weight, other=0).to(sums)
                    total += x * y
                    if parts == 2:
                        x_i = tl.load(row + w * source.w + 1, mask=mask, other=0).to(sums) * source_sign
                        y_i = tl.load(tap + along + 1, mask=of_weight, other=0).to(sums) * weight_sign
                        total -= x_i * y_i
                        imaginary += x * y_i + x_i * y
    return total, imaginary


@triton.jit
def multiply_add(
    source, weight, bias, bias_stride, result, rows, columns, batch, groups, width, depth, images_h, images_w,
    phases_h, phases_w,
    backward: tl.constexpr, folded: tl.constexpr, mode: tl.constexpr, bounded: tl.constexpr,
    dense: tl.constexpr, channels_fast: tl.constexpr, wide: tl.constexpr, parts: tl.constexpr,
    source_sign: tl.constexpr, weight_sign: tl.constexpr, sums: tl.constexpr,
    unrolled: tl.constexpr, partial: tl.constexpr,
    block_pixels: tl.constexpr, block_channels: tl.constexpr,
):  # fmt: skip
    """One tile of a result; arguments as those of `products.multiply`, and more.

    Args:
        dense: a tile's channels are of one group, and read the same source channels.
        parts: 2 for complex numbers, whose strides count parts. source_sign, weight_sign: -1 where they count
            conjugated.
        sums: the type sums are in.
        unrolled: taps along the columns that are loaded at once. partial: whether some of them may not exist.
    """
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    high = rows.size if backward else rows.outputs
    broad = columns.size if backward else columns.outputs
    phases = phases_h * phases_w
    phase = program % phases
    tile = program // phases
    phase_h, phase_w = phase // phases_w, phase % phases_w
    tiles_m = tl.cdiv(batch * tl.cdiv(high, phases_h) * tl.cdiv(broad, phases_w), block_pixels)
    channels_at_once = width if dense else groups * width
    tiles_n = tl.cdiv(channels_at_once, block_channels)
    of_m = tile % tiles_m * block_pixels + tl.arange(0, block_pixels)
    of_n = tile // tiles_m % tiles_n * block_channels + tl.arange(0, block_channels)
    if channels_fast:
        m, channel = of_m[:, None], of_n[None, :]
        total = tl.zeros([block_pixels, block_channels], sums)
    else:
        m, channel = of_m[None, :], of_n[:, None]
        total = tl.zeros([block_channels, block_pixels], sums)
    imaginary = total
    grid_h, grid_w = positions(high, phases_h, phase_h), positions(broad, phases_w, phase_w)
    n = m // (grid_h * grid_w)
    pixel = m - n * (grid_h * grid_w)
    t_h = pixel // grid_w
    t_w = pixel - t_h * grid_w
    alive = n < batch
    present = channel < channels_at_once
    group = tile // (tiles_m * tiles_n) if dense else channel // width
    own = channel if dense else channel - group * width
    channels = group * source.group
    weights = group * weight.group + own * weight.result
    pixels = n * source.n
    # A source channel of its own for each result channel may lie outside the images.
    reads = alive if dense else alive & present
    if folded:
        x_h, x_w = phase_h + rows.stride * t_h, phase_w + columns.stride * t_w
        for number in range(images_h * images_w):
            number_h = number // images_w
            sign_h, shift_h, lowest_h, highest_h = image(rows, number_h, mode)
            sign_w, shift_w, lowest_w, highest_w = image(columns, number - number_h * images_w, mode)
            has = alive & (x_h >= lowest_h) & (x_h <= highest_h) & (x_w >= lowest_w) & (x_w <= highest_w)
            there = tl.max(tl.max(has.to(tl.int32), 0), 0)
            of_h = reach(rows, phase_h, sign_h, shift_h, backward)
            of_w = reach(columns, phase_w, sign_w, shift_w, backward)
            of_h = (of_h[0], of_h[1], of_h[2], of_h[3], of_h[4], of_h[5] * there)
            total, imaginary = _added(
                total, imaginary, source, weight, rows, columns, of_h, of_w, pixels, t_h, t_w, reads & has,
                channels, weights, present, depth, backward, "zeros", True, parts, source_sign, weight_sign,
                unrolled, partial,
            )  # fmt: skip
    else:
        of_h = reach(rows, phase_h, 1, 0, backward)
        of_w = reach(columns, phase_w, 1, 0, backward)
        total, imaginary = _added(
            total, imaginary, source, weight, rows, columns, of_h, of_w, pixels, t_h, t_w, reads, channels,
            weights, present, depth, backward, mode, bounded, parts, source_sign, weight_sign,
            unrolled, partial,
        )  # fmt: skip
    element: tl.constexpr = result.pointer.dtype.element_ty
    at = n * result.n + group * result.group + own * result.c
    at += (phase_h + phases_h * t_h) * result.h + (phase_w + phases_w * t_w) * result.w
    if bias is not None:
        of_bias = bias + (group * width + own) * bias_stride
        total += tl.load(of_bias, mask=present, other=0).to(sums)
        if parts == 2:
            imaginary += tl.load(of_bias + 1, mask=present, other=0).to(sums)
    tl.store(result.pointer + at, total.to(element), mask=alive & present)
    if parts == 2:
        tl.store(result.pointer + at + 1, imaginary.to(element), mask=alive & present)
