"""Forward and grad input: each result gathers its products. Which kernel, and with which tile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import Any

from torch import Tensor

from tatamu.geometry import Geometry
from tatamu.gpu import tiles
from tatamu.gpu.describe import Operand, axis, flattened, images, images_of_pixels, weight
from tatamu.gpu.kernels.multiply_adds import multiply_add
from tatamu.gpu.kernels.operands import Images, Weight
from tatamu.gpu.kernels.products import multiply
from tatamu.gpu.kernels.repack import repack
from tatamu.gpu.lowering.common import SUMS, Launch, ceil_div, launch, real, sign
from tatamu.gpu.numbers import Numbers
from tatamu.gpu.processor import Processor
from tatamu.gpu.tiles import Tile

NARROW = 16
"""Channels of a tile on tensor cores, at least."""
_WORTH_BUNDLING = 4
"""Channels of a group from which on tensor cores pay, most of their products being with zeros."""
_TOGETHER = 8
"""Tiles of pixels that share their weights in the cache."""
_MOST_UNROLLED = 8
"""Taps whose loads fit into the registers of a thread."""
_REPACK_BLOCK = 1024


@dataclass(frozen=True)
class Gather:
    """A lowered pass; pointers are still missing.

    Attributes:
        source, result, weight: as the kernel takes them.
        packed: whether the weight is to be laid out anew first, and its strides for that.
    """

    kernel: Any
    programs: int
    source: Images
    weight: Weight
    result: Images
    packed: tuple[Weight, tuple[int, int, int, int]] | None
    scalars: tuple[Any, ...]
    constants: dict[str, Any]
    tile: Tile
    parts: int

    def launches(self, source: Tensor, weight: Tensor, bias: Tensor | None, result: Tensor) -> list[Launch]:
        """The kernels to run, one after the other."""
        found = []
        pointer = real(weight)
        if self.packed is not None:
            loose, (outputs, depth, height, width) = self.packed
            pointer = weight.new_empty(weight.numel())
            found.append(
                Launch(
                    repack,
                    ceil_div(weight.numel(), _REPACK_BLOCK),
                    (loose._replace(pointer=real(weight)), pointer, outputs, depth, height, width),
                    {"wide": self.constants["wide"], "block": _REPACK_BLOCK},
                )
            )
        given = None if bias is None else real(bias)
        steps = () if self.kernel is multiply else (0 if bias is None else bias.stride(0) * self.parts,)
        arguments = (
            self.source._replace(pointer=real(source)),
            self.weight._replace(pointer=pointer),
            given,
            *steps,
            self.result._replace(pointer=real(result)),
            *self.scalars,
        )
        found.append(launch(self.kernel, self.programs, arguments, self.tile, self.constants))
        return found


def lower_gather(
    it: Geometry,
    numbers: Numbers,
    source: Operand,
    kernel: Operand,
    result: Operand,
    processor: Processor,
    *,
    backward: bool,
    tile: Tile | None = None,
) -> Gather:
    """Forward, or grad input if `backward`: then `source` is the gradient of the output.

    A tile that is given takes the place of the one that the rules choose.
    """
    it, source, result = flattened(it, source, result)
    outputs, depth_of_weight = it.out_channels // it.groups, it.in_channels // it.groups
    width, depth = (depth_of_weight, outputs) if backward else (outputs, depth_of_weight)
    rows, columns = axis(it.rows), axis(it.columns)
    phases = (min(rows.stride, rows.size), min(columns.stride, columns.size)) if backward else (1, 1)
    seen = [images_of_pixels(along, it.padding_mode) if backward else 1 for along in (it.rows, it.columns)]
    folded = seen != [1, 1]
    high, broad = (result.size[2], result.size[3]) if not backward else (it.rows.size, it.columns.size)
    pixels = it.batch * ceil_div(high, phases[0]) * ceil_div(broad, phases[1])
    parts = numbers.parts
    wide = any(operand.is_wide for operand in (source, kernel, result))
    common = {
        "backward": backward,
        "folded": folded,
        "mode": "zeros" if it.padding == ((0, 0), (0, 0)) else it.padding_mode,
        "bounded": backward or it.padding != ((0, 0), (0, 0)),
        "channels_fast": fast_channels(source, result),
        "wide": wide,
    }
    if backward and it.kernel_size == (1, 1) and it.padding == ((0, 0), (0, 0)) and phases == (1, 1):
        common["bounded"] = False
    scalars = (rows, columns, it.batch, it.groups, width, depth, *seen, *phases)
    shape = _Shape(pixels, width, depth, phases[0] * phases[1], phases, rows.taps * columns.taps)
    of_weight = weight(kernel, outputs, parts, backward=backward)
    by_products = uses_products(it.groups, width, depth, numbers)
    lowered = Gather(
        multiply if by_products else multiply_add,
        0,
        images(source, depth, parts),
        of_weight,
        images(result, width, parts),
        None,
        scalars,
        common,
        Tile(1, 1, 1, 1, 1),
        parts,
    )
    if by_products:
        return _products(lowered, it, kernel, numbers, processor, shape, tile)
    return _multiply_adds(lowered, it, (source, kernel), numbers, shape, tile)


@dataclass(frozen=True)
class _Shape:
    """Sizes of the product: `pixels` of one phase, channels of one group."""

    pixels: int
    width: int
    depth: int
    rest: int
    phases: tuple[int, int]
    taps: int


def _products(
    lowered: Gather,
    it: Geometry,
    kernel: Operand,
    numbers: Numbers,
    processor: Processor,
    shape: _Shape,
    tile: Tile | None,
) -> Gather:
    bundle = bundled(it.groups, shape.width, shape.depth)
    bundles = ceil_div(it.groups, bundle)
    joint = bundle == 1 and shape.depth < NARROW and shape.taps > 1
    width = bundle * shape.width
    depth = shape.taps * shape.depth if joint else bundle * shape.depth
    tile = tile or tiles.product(
        shape.pixels, width, depth, numbers, processor, rest=bundles * shape.rest, joint=joint,
        folded=lowered.constants["folded"],
    )  # fmt: skip
    programs = ceil_div(shape.pixels, tile.pixels) * ceil_div(width, tile.channels) * bundles * shape.rest
    backward = lowered.constants["backward"]
    packed, of_weight = None, lowered.weight
    if kernel.strides[1] != 1 and shape.taps > 1:
        outputs, depth_of_weight, high, broad = kernel.size
        dense = (depth_of_weight * high * broad, 1, broad * depth_of_weight, depth_of_weight)
        packed = (weight(kernel, outputs, 1, backward=False), (outputs, depth_of_weight, high, broad))
        of_weight = weight(
            replace(kernel, strides=dense), outputs // it.groups, 1, backward=backward
        )  # fmt: skip
    constants = lowered.constants | {
        "joint": joint,
        "bundle": bundle,
        "even": bundle == 1 and not joint and shape.depth % tile.depth == 0,
        "precision": numbers.precision,
        "block_pixels": tile.pixels,
        "block_channels": tile.channels,
        "block_depth": tile.depth,
        "together": _TOGETHER,
    }
    return replace(
        lowered, programs=programs, weight=of_weight, packed=packed, constants=constants, tile=tile
    )  # fmt: skip


def _multiply_adds(
    lowered: Gather,
    it: Geometry,
    operands: tuple[Operand, Operand],
    numbers: Numbers,
    shape: _Shape,
    tile: Tile | None,
) -> Gather:
    dense = it.groups == 1 or shape.width >= NARROW
    at_once = shape.width if dense else it.groups * shape.width
    backward, fast = lowered.constants["backward"], lowered.constants["channels_fast"]
    tile = tile or tiles.multiply_add(shape.pixels, at_once, numbers, dense=dense, channels_fast=fast)
    programs = ceil_div(shape.pixels, tile.pixels) * ceil_div(at_once, tile.channels)
    programs *= shape.rest * (it.groups if dense else 1)
    columns = it.columns
    step = columns.stride // gcd(columns.stride, columns.dilation) if backward else 1
    taps = ceil_div(columns.kernel, step)
    unrolled = ceil_div(taps, ceil_div(taps, _MOST_UNROLLED))
    source, kernel = operands
    constants = lowered.constants | {
        "dense": dense,
        "parts": numbers.parts,
        "source_sign": sign(source.conjugated),
        # A gradient takes the weight conjugated.
        "weight_sign": sign(kernel.conjugated != backward),
        "sums": SUMS[numbers.sums],
        "unrolled": unrolled,
        # Phases differ in their taps, and images of pixels may have none.
        "partial": backward or taps % unrolled != 0,
        "block_pixels": tile.pixels,
        "block_channels": tile.channels,
    }
    return replace(lowered, programs=programs, constants=constants, tile=tile)


def fast_channels(*operands: Operand) -> bool:
    """Whether tiles run along channels: what most of the images do, or the first where they disagree."""
    votes = [operand.has_fast_channels for operand in operands]
    return next((vote for vote in votes if vote is not None), True)


def uses_products(groups: int, width: int, depth: int, numbers: Numbers) -> bool:
    """Whether a product on tensor cores (or what stands in for them in float32) computes such groups."""
    if numbers.precision is None:
        return False
    if groups == 1:
        return True
    return min(width, depth) >= (_WORTH_BUNDLING if numbers.has_tensor_cores else NARROW)


def bundled(groups: int, width: int, depth: int) -> int:
    """How many groups are multiplied at once."""
    if groups == 1 or min(width, depth) >= NARROW:
        return 1
    return min(tiles.power_of_two(ceil_div(NARROW, min(width, depth))), tiles.power_of_two(groups))
