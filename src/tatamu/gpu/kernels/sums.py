"""Sums of parts in one order, and the gradient of the bias."""

import triton
import triton.language as tl


@triton.jit
def add_up(
    partial, split_stride, splits, result, channels, depth, height, width,
    wide: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The sums of all splits, in the order of the splits.

    Args:
        partial: (splits, channels, height, width, depth), the last four dense.
        result: `Weight` with `depth` channels for each of `channels`; its group is not used.
    """
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    flat = program * block + tl.arange(0, block)
    mask = flat < channels * height * width * depth
    total = tl.load(partial + flat, mask=mask, other=0)
    for split in range(1, splits):
        total += tl.load(partial + split * split_stride + flat, mask=mask, other=0)
    c, rest = flat % depth, flat // depth
    j, rest = rest % width, rest // width
    i, o = rest % height, rest // height
    at = o * result.result + c * result.depth + i * result.h + j * result.w
    tl.store(result.pointer + at, total.to(result.pointer.dtype.element_ty), mask=mask)


@triton.jit
def sum_pixels(
    images, partial, batch, height, width, channels, splits,
    channels_fast: tl.constexpr, wide: tl.constexpr, sums: tl.constexpr,
    block_pixels: tl.constexpr, block_channels: tl.constexpr,
):  # fmt: skip
    """The sums over one split of the pixels for some channels, into `partial`, (splits, channels)."""
    program = tl.program_id(0)
    if wide:
        program = program.to(tl.int64)
    tiles = tl.cdiv(channels, block_channels)
    split = program // tiles
    c = program % tiles * block_channels + tl.arange(0, block_channels)
    lanes = tl.arange(0, block_pixels)
    if channels_fast:
        lanes, along = lanes[:, None], c[None, :]
        total = tl.zeros([block_pixels, block_channels], sums)
    else:
        lanes, along = lanes[None, :], c[:, None]
        total = tl.zeros([block_channels, block_pixels], sums)
    pixels = batch * height * width
    steps = tl.cdiv(tl.cdiv(pixels, block_pixels), splits)
    first = split * steps
    for step in range(first, tl.minimum(first + steps, tl.cdiv(pixels, block_pixels))):
        m = step * block_pixels + lanes
        n = m // (height * width)
        pixel = m - n * (height * width)
        h = pixel // width
        at = n * images.n + h * images.h + (pixel - h * width) * images.w + along * images.c
        total += tl.load(images.pointer + at, mask=(m < pixels) & (along < channels), other=0).to(sums)
    axis: tl.constexpr = 0 if channels_fast else 1
    tl.store(partial + split * channels + c, tl.sum(total, axis), mask=c < channels)
