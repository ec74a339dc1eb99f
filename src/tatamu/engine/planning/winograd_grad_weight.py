"""Whether Winograd's filters pay for the gradient of a weight, and in which blocks: a pure function.

Costs are cycles of one core, as in `plan_winograd`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tatamu.engine.planning.common import waiting
from tatamu.engine.planning.winograd import (
    INSTRUCTIONS_A_CYCLE,
    MULTIPLY_EFFICIENCY,
    WinogradWork,
    evenly,
    register_tile,
    single_form,
    transforms,
    why_direct,
)
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_MOST_TILES = 48
_SUM_BYTES_A_CYCLE = 24


@dataclass(frozen=True)
class WinogradGradWeightPlan:
    """Tiles of ``tile`` gradients, ``images`` x ``block`` of them at a time; channels of a task."""

    tile: tuple[int, int]
    rows: tuple[int, ...]
    vectors: int
    images: int
    block: tuple[int, int]
    channel_block: int
    m_block: int
    cycles: float
    reason: str


def plan_winograd_grad_weight(
    work: WinogradWork, element: ElementType, target: Target
) -> WinogradGradWeightPlan | str:
    """The plan, or why the direct kernel is to be taken."""
    lanes = target.lanes(element.compute_bytes)
    form = single_form(work.taps)
    there, _ = transforms(form)
    registers = -(-work.channels // lanes) + -(-work.m // lanes)
    if obstacle := why_direct(
        work, form, lanes, lanes, there * registers, (1, _MOST_TILES), target.wide_units
    ):
        return obstacle
    return grad_weight_plans(work, element, target)[0]


def grad_weight_plans(
    work: WinogradWork, element: ElementType, target: Target
) -> list[WinogradGradWeightPlan]:
    """The cheapest plan, if there is a filter for these taps."""
    return [_plan(work, element, target)] if math.prod(single_form(work.taps).outputs) > 1 else []


def _plan(work: WinogradWork, element: ElementType, target: Target) -> WinogradGradWeightPlan:
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    rows, vectors = register_tile(-(-work.m // lanes), target.registers)
    width = vectors * lanes
    form = single_form(work.taps)
    (mh, mw), (tiles_h, tiles_w) = form.outputs, work.tiles(form.outputs)
    products = form.products
    images, block = _block(work.batch, tiles_h, tiles_w, work.dilation[1])
    tiles = images * block[0] * block[1]
    blocks = -(-work.batch // images) * work.phases * -(-tiles_h // block[0]) * -(-tiles_w // block[1])
    transform, _ = transforms(form)

    def candidate(channel_block: int, m_block: int) -> WinogradGradWeightPlan:
        panels = -(-m_block // width)
        multiply = products * tiles * channel_block * panels * vectors / MULTIPLY_EFFICIENCY
        sums = 2 * products * channel_block * panels * width * item
        near = sums // 2 + products * tiles * (channel_block + m_block) * item
        traffic = sums / (_SUM_BYTES_A_CYCLE if near < target.l2_bytes * 3 // 4 else _SUM_BYTES_A_CYCLE / 3)
        there = tiles * transform * (-(-channel_block // lanes) + -(-m_block // lanes))
        finish = channel_block * panels * vectors * (6 * products) / INSTRUCTIONS_A_CYCLE
        tasks = work.groups * -(-work.channels // channel_block) * -(-work.m // m_block)
        cycles = tasks * (blocks * (multiply + traffic + there) + finish) * waiting(tasks)
        reason = (
            f"winograd grad weight F({work.taps[0]}x{work.taps[1]}, {mh}x{mw}): {products} products"
            f" for {mh * mw * math.prod(work.taps)}; {channel_block} of {work.channels} input and"
            f" {m_block} of {work.m} output channels a task; {images}x{block[0]}x{block[1]} tiles at a time"
        )
        return WinogradGradWeightPlan(
            (mh, mw), rows, vectors, images, block, channel_block, m_block, cycles, reason
        )

    channel_blocks = {min(n, work.channels) for n in (16, 24, 32, 48, 64, 96)}
    m_blocks = {min(n * width, work.m) for n in (1, 2, 3, 4)}
    return min(
        (candidate(c, m) for c in sorted(channel_blocks) for m in sorted(m_blocks)),
        key=lambda plan: plan.cycles,
    )


def _block(batch: int, tiles_h: int, tiles_w: int, unit: int) -> tuple[int, tuple[int, int]]:
    """Images, rows and columns of tiles that are summed over together: as many as the rooms hold.

    Columns are a multiple of ``unit``.
    """
    if tiles_h * tiles_w * 2 <= _MOST_TILES:
        return max(evenly(batch, _MOST_TILES // (tiles_h * tiles_w))), (tiles_h, tiles_w)
    block_w = unit * max(evenly(tiles_w // unit, max(1, _MOST_TILES // unit)))
    return 1, (max(evenly(tiles_h, max(1, _MOST_TILES // block_w))), block_w)
