"""Forward and grad input as a matrix product on tensor cores, its left side gathered: an implicit GEMM.

    result pixels (M) × result channels (N), summed over taps × channels (K)

Nothing is unfolded or copied: a tile of the left side is loaded from the images themselves, from where tap
and padding say. All of K is one loop without conditions, which Triton turns into asynchronous copies
some steps ahead of the products.

- The fast axis of tiles is that of the images: channels (tiles are pixels × channels), or pixels (all is
  transposed).
- `joint`: for few channels, a step of K takes several taps with their channels, side by side.
- `bundle`: groups too narrow for the tensor cores' tiles are multiplied several at a time, with zeros for
  weights between groups. A zero times infinity is no zero: where NaN came out, each group is summed alone.
"""

import triton
import triton.language as tl

from tatamu.gpu.kernels.positions import image, inside, padded, positions, reach


@triton.jit
def _summed(
    total, source, weight, rows, columns, of_rows, of_columns, n, t_h, t_w, alive, channel, group,
    width, depth, lowest, highest,
    backward: tl.constexpr, mode: tl.constexpr, bounded: tl.constexpr, joint: tl.constexpr,
    bundle: tl.constexpr, even: tl.constexpr, channels_fast: tl.constexpr, wide: tl.constexpr,
    precision: tl.constexpr, block_depth: tl.constexpr,
):  # fmt: skip
    """Add to a tile the products of all taps of one image; of channels lowest … highest - 1 in a bundle."""
    base_h, slope_h, step_h, first_h, tap_step_h, taps_h = of_rows
    base_w, slope_w, step_w, first_w, tap_step_w, taps_w = of_columns
    height = rows.outputs if backward else rows.size
    breadth = columns.outputs if backward else columns.size
    from_h = base_h + slope_h * t_h
    from_w = base_w + slope_w * t_w
    pixels = n * source.n + group * source.group
    lanes = tl.arange(0, block_depth)
    if wide:
        lanes = lanes.to(tl.int64)
    blocks = tl.cdiv(bundle * depth, block_depth)
    steps = tl.cdiv(taps_h * taps_w * depth, block_depth) if joint else taps_h * taps_w * blocks
    for step in range(steps):
        if joint:
            flat = step * block_depth + lanes
            tap = flat // depth
            c = flat - tap * depth
            valid = flat < taps_h * taps_w * depth
        else:
            tap = step // blocks
            c = (step - tap * blocks) * block_depth + lanes
            valid = (c >= lowest) & (c < highest)
        i = tap // taps_w
        j = tap - i * taps_w
        # In the source's tile channels run along its fast axis or across it, in the weight's the other way.
        if channels_fast:
            c_x, c_w, valid_x, valid_w = c[None, :], c[:, None], valid[None, :], valid[:, None]
        else:
            c_x, c_w, valid_x, valid_w = c[:, None], c[None, :], valid[:, None], valid[None, :]
        i_x, j_x, i_w, j_w = i, j, i, j
        if joint:
            if channels_fast:
                i_x, j_x, i_w, j_w = i[None, :], j[None, :], i[:, None], j[:, None]
            else:
                i_x, j_x, i_w, j_w = i[:, None], j[:, None], i[None, :], j[None, :]
        h = from_h + i_x * step_h
        w = from_w + j_x * step_w
        mask = alive
        if bounded:
            if mode == "zeros":
                mask = mask & inside(h, height) & inside(w, breadth)
            else:
                h, w = padded(h, height, mode), padded(w, breadth, mode)
        if not even:
            mask = mask & valid_x
        x = tl.load(
            source.pointer + (pixels + h * source.h + w * source.w + c_x * source.c), mask=mask, other=0.0
        )
        taps = (first_h + i_w * tap_step_h) * weight.h + (first_w + j_w * tap_step_w) * weight.w
        if bundle > 1:
            owner_n, owner_c = channel // width, c_w // depth
            within = (channel - owner_n * width) * weight.result + (c_w - owner_c * depth) * weight.depth
            at = (group + owner_n) * weight.group + within
            of_weight = valid_w & (owner_n == owner_c)
        else:
            at = group * weight.group + channel * weight.result + c_w * weight.depth
            of_weight = channel < width
            if not even:
                of_weight = of_weight & valid_w
        y = tl.load(weight.pointer + (at + taps), mask=of_weight, other=0.0)
        if channels_fast:
            total = tl.dot(x, y, total, input_precision=precision)
        else:
            total = tl.dot(y, x, total, input_precision=precision)
    return total


@triton.jit
def _collected(
    total, source, weight, rows, columns, phase_h, phase_w, n, t_h, t_w, alive, channel, group, width, depth,
    lowest, highest, images_h, images_w,
    backward: tl.constexpr, folded: tl.constexpr, mode: tl.constexpr, bounded: tl.constexpr,
    joint: tl.constexpr, bundle: tl.constexpr, even: tl.constexpr, channels_fast: tl.constexpr,
    wide: tl.constexpr, precision: tl.constexpr, block_depth: tl.constexpr,
):  # fmt: skip
    """Add to a tile all of its products: of every image that a pixel of the tile has."""
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
            # No pixel of the tile has this image: no taps.
            of_h = (of_h[0], of_h[1], of_h[2], of_h[3], of_h[4], of_h[5] * there)
            total = _summed(
                total, source, weight, rows, columns, of_h, of_w, n, t_h, t_w, has, channel, group, width,
                depth, lowest, highest, backward, "zeros", True, joint, bundle, even, channels_fast, wide,
                precision, block_depth,
            )  # fmt: skip
    else:
        of_h = reach(rows, phase_h, 1, 0, backward)
        of_w = reach(columns, phase_w, 1, 0, backward)
        total = _summed(
            total, source, weight, rows, columns, of_h, of_w, n, t_h, t_w, alive, channel, group, width,
            depth, lowest, highest, backward, mode, bounded, joint, bundle, even, channels_fast, wide,
            precision, block_depth,
        )  # fmt: skip
    return total


@triton.jit
def multiply(
    source, weight, bias, result, rows, columns, batch, groups, width, depth, images_h, images_w,
    phases_h, phases_w,
    backward: tl.constexpr, folded: tl.constexpr, mode: tl.constexpr, bounded: tl.constexpr,
    joint: tl.constexpr, bundle: tl.constexpr, even: tl.constexpr, channels_fast: tl.constexpr,
    wide: tl.constexpr, precision: tl.constexpr,
    block_pixels: tl.constexpr, block_channels: tl.constexpr, block_depth: tl.constexpr,
    together: tl.constexpr,
):  # fmt: skip
    """One tile of a result: forward, or (`backward`) a phase of grad input.

    Args:
        source, result: `Images`; weight: `Weight`; rows, columns: `Axis`.
        bias: (O,) with stride 1, or None.
        groups, width, depth: groups, and in one of them result channels and channels summed over.
        images_h, images_w: images of a pixel along each axis; more than one only if `folded`.
        phases_h, phases_w: phases of the result along each axis; 1 unless `backward`.
        mode: of the padding; `bounded`: whether any tap can reach it.
        even: depth is a multiple of `block_depth`, and neither `joint` nor bundled.
        wide: offsets need 64 bits.
        together: tiles of pixels that are computed side by side, on the same weights.
    """
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    high = rows.size if backward else rows.outputs
    broad = columns.size if backward else columns.outputs
    # Phases of one tile lie side by side in memory: they run at the same time, and caches merge their stores.
    phases = phases_h * phases_w
    phase = program % phases
    tile = program // phases
    phase_h, phase_w = phase // phases_w, phase % phases_w
    tiles_m = tl.cdiv(batch * tl.cdiv(high, phases_h) * tl.cdiv(broad, phases_w), block_pixels)
    tiles_n = tl.cdiv(bundle * width, block_channels)
    group = tile // (tiles_m * tiles_n) * bundle
    tile = tile % (tiles_m * tiles_n)
    first_m = tile // (together * tiles_n) * together
    some = tl.minimum(tiles_m - first_m, together)
    of_m = (first_m + tile % (together * tiles_n) % some) * block_pixels + tl.arange(0, block_pixels)
    of_n = tile % (together * tiles_n) // some * block_channels + tl.arange(0, block_channels)
    if channels_fast:
        m, channel = of_m[:, None], of_n[None, :]
        total = tl.zeros([block_pixels, block_channels], tl.float32)
    else:
        m, channel = of_m[None, :], of_n[:, None]
        total = tl.zeros([block_channels, block_pixels], tl.float32)
    grid_h, grid_w = positions(high, phases_h, phase_h), positions(broad, phases_w, phase_w)
    n = m // (grid_h * grid_w)
    pixel = m - n * (grid_h * grid_w)
    t_h = pixel // grid_w
    t_w = pixel - t_h * grid_w
    alive = n < batch
    present = tl.minimum(groups - group, bundle)
    total = _collected(
        total, source, weight, rows, columns, phase_h, phase_w, n, t_h, t_w, alive, channel, group, width,
        depth, 0, present * depth, images_h, images_w, backward, folded, mode, bounded, joint, bundle, even,
        channels_fast, wide, precision, block_depth,
    )  # fmt: skip
    if bundle > 1:  # A constant, unlike the next.
        if tl.max(tl.max((total != total).to(tl.int32), 0), 0) > 0:
            for one in range(present):
                alone = _collected(
                    tl.zeros_like(total), source, weight, rows, columns, phase_h, phase_w, n, t_h, t_w,
                    alive, channel, group, width, depth, one * depth, (one + 1) * depth, images_h, images_w,
                    backward, folded, mode, bounded, joint, bundle, even, channels_fast, wide, precision,
                    block_depth,
                )  # fmt: skip
                total = tl.where(channel // width == one, alone, total)
    stored = channel < present * width
    if bias is not None:
        total += tl.load(bias + (group * width + channel), mask=stored, other=0.0).to(tl.float32)
    at = n * result.n + group * result.group + channel * result.c
    at += (phase_h + phases_h * t_h) * result.h + (phase_w + phases_w * t_w) * result.w
    tl.store(result.pointer + at, total.to(result.pointer.dtype.element_ty), mask=alive & stored)
