"""Grad weight and grad bias: sums over all pixels, in splits that are added up in one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tatamu.geometry import Geometry
from tatamu.gpu import tiles
from tatamu.gpu.describe import Operand, axis, flattened, images, weight
from tatamu.gpu.kernels.operands import Images, Weight
from tatamu.gpu.kernels.sums import add_up, sum_pixels
from tatamu.gpu.kernels.weight_multiply_adds import multiply_add_pixels
from tatamu.gpu.kernels.weight_products import multiply_pixels
from tatamu.gpu.lowering.common import SUMS, Launch, ceil_div, launch, real, sign
from tatamu.gpu.lowering.gather import NARROW, bundled, fast_channels, uses_products
from tatamu.gpu.numbers import Numbers
from tatamu.gpu.processor import Processor
from tatamu.gpu.tiles import Tile

_ADD_BLOCK = 512
_MOST_WORKSPACE = 64 << 20
"""Bytes of sums that wait to be added up, whatever the layer."""
_WAVES = 2
"""How many programs there should be for each multiprocessor, at least."""
_LEAST_STEPS = 4
"""Steps of the loop over pixels that make a split worthwhile."""
_BIAS_TILE = Tile(1024, 1, 1, 4, 2)
_BIAS_TILE_OF_CHANNELS = Tile(64, 32, 1, 4, 2)

Size = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pixels:
    """A lowered grad weight; pointers are still missing.

    Attributes:
        programs: of the kernel, all splits together.
        outputs: of one group. size: (O, C / groups, kh, kw), of the result.
    """

    kernel: Any
    programs: int
    gradient: Images
    source: Images
    result: Weight
    outputs: int
    size: Size
    splits: int
    scalars: tuple[Any, ...]
    constants: dict[str, Any]
    tile: Tile
    numbers: Numbers

    def launches(self, gradient: Tensor, source: Tensor, result: Tensor) -> list[Launch]:
        """The kernels to run, one after the other."""
        stored, parts = real(result), self.numbers.parts
        into, between = self.result._replace(pointer=stored), (0, 1)
        sums = None
        if self.splits > 1:
            o, c, h, w = self.size
            elements = o * c * h * w
            # Parts apart from each other: each is added up as real numbers are.
            sums = result.new_empty((parts, self.splits * elements), dtype=self.numbers.sums)
            into = Weight(sums, h * w * c, 1, w * c, c, self.outputs * h * w * c)
            between = (elements, self.splits * elements)
        arguments = (
            self.gradient._replace(pointer=real(gradient)),
            self.source._replace(pointer=real(source)),
            into,
            *(between if self.kernel is multiply_add_pixels else between[:1]),
            *self.scalars,
        )
        found = [launch(self.kernel, self.programs, arguments, self.tile, self.constants)]
        for part, of_part in enumerate(() if sums is None else sums):
            pointer = stored[..., part] if parts == 2 else stored
            found.append(_add(of_part, self.splits, self.result._replace(pointer=pointer), self.size))
        return found


def _add(sums: Tensor, splits: int, result: Weight, size: Size) -> Launch:
    """Add up the sums of splits, (splits, O, kh, kw, C / groups) and dense, into (O, C / groups, kh, kw)."""
    o, c, h, w = size
    elements = o * c * h * w
    return Launch(
        add_up,
        ceil_div(elements, _ADD_BLOCK),
        (sums, elements, splits, result, o, c, h, w),
        {"wide": elements > 2**30, "block": _ADD_BLOCK},
    )


def lower_weight(
    it: Geometry,
    numbers: Numbers,
    gradient: Operand,
    source: Operand,
    result: Operand,
    processor: Processor,
    *,
    tile: Tile | None = None,
) -> Pixels:
    """Grad weight. A tile that is given takes the place of the one that the rules choose."""
    it, gradient, source = flattened(it, gradient, source)
    width, depth = it.out_channels // it.groups, it.in_channels // it.groups
    pixels = it.grad_weight_reduction
    taps = it.rows.kernel * it.columns.kernel
    fast = fast_channels(gradient, source)
    padded = it.padding != ((0, 0), (0, 0))
    constants: dict[str, Any] = {
        "mode": it.padding_mode if padded else "zeros",
        "bounded": padded,
        "channels_fast": fast,
        "wide": any(operand.is_wide for operand in (gradient, source, result)),
    }
    if uses_products(it.groups, width, depth, numbers):
        kernel = multiply_pixels
        bundle = bundled(it.groups, width, depth)
        joint = bundle == 1 and depth < NARROW and taps > 1
        side = taps * depth if joint else bundle * depth
        tile = tile or tiles.weight_product(
            pixels, bundle * width, side, numbers, planes=not fast, joint=joint
        )
        programs = ceil_div(side, tile.depth) * (1 if joint else taps)
        programs *= ceil_div(bundle * width, tile.channels) * ceil_div(it.groups, bundle)
        constants |= {
            "joint": joint,
            "bundle": bundle,
            "precision": numbers.precision,
            "block_channels": tile.channels,
        }
        constants |= {"block_depth": tile.depth, "block_pixels": tile.pixels}
    else:
        kernel = multiply_add_pixels
        dense = it.groups == 1 or width >= NARROW
        at_once = width if dense else it.out_channels
        tile = tile or tiles.weight_multiply_add(
            pixels, at_once, taps * depth, numbers, dense=dense, channels_fast=fast
        )
        programs = ceil_div(taps * depth, tile.depth) * ceil_div(at_once, tile.channels)
        programs *= it.groups if dense else 1
        constants |= {
            "dense": dense,
            "parts": numbers.parts,
            "gradient_sign": sign(gradient.conjugated),
            # A gradient takes the input conjugated.
            "source_sign": sign(not source.conjugated),
            "sums": SUMS[numbers.sums],
            "block_taps": tile.depth,
        }
        constants |= {"block_pixels": tile.pixels, "block_channels": tile.channels}
    splits = _splits(programs, ceil_div(pixels, tile.pixels), it, numbers, processor)
    return Pixels(
        kernel,
        programs * splits,
        images(gradient, width, numbers.parts),
        images(source, depth, numbers.parts),
        weight(result, width, numbers.parts, backward=False),
        width,
        it.weight_size,
        splits,
        (axis(it.rows), axis(it.columns), it.batch, it.groups, width, depth, splits),
        constants,
        tile,
        numbers,
    )


def _splits(programs: int, steps: int, it: Geometry, numbers: Numbers, processor: Processor) -> int:
    """Enough to keep the processor busy, none without work, no more than the workspace holds."""
    o, c, h, w = it.weight_size
    wanted = ceil_div(_WAVES * processor.multiprocessors, programs)
    held = _MOST_WORKSPACE // (o * c * h * w * numbers.sums.itemsize * numbers.parts)
    return max(1, min(wanted, steps // _LEAST_STEPS, held))


def bias_launches(gradient: Tensor, result: Tensor, numbers: Numbers, processor: Processor) -> list[Launch]:
    """Grad bias of real numbers: the sums of (N, O, H, W) into (O,), one kernel after the other."""
    operand = Operand.of(gradient)
    n, o, h, w = operand.size
    fast = fast_channels(operand)
    tile = _BIAS_TILE_OF_CHANNELS if fast else _BIAS_TILE
    tiles_of_channels = ceil_div(o, tile.channels)
    steps = ceil_div(n * h * w, tile.pixels)
    splits = max(1, min(ceil_div(_WAVES * processor.multiprocessors, tiles_of_channels), steps))
    sums = torch.empty((splits, o), dtype=numbers.sums, device=gradient.device)
    described = images(operand, 1, 1)._replace(pointer=gradient)
    constants = {
        "channels_fast": fast,
        "wide": operand.is_wide,
        "sums": SUMS[numbers.sums],
        "block_pixels": tile.pixels,
        "block_channels": tile.channels,
    }
    final = Weight(result, result.stride(0), 0, 0, 0, 0)
    return [
        launch(
            sum_pixels, tiles_of_channels * splits, (described, sums, n, h, w, o, splits), tile, constants
        ),
        _add(sums, splits, final, (o, 1, 1, 1)),
    ]
