"""Forward and grad input where channels lie side by side → the interleaved kernel."""

from __future__ import annotations

from tatamu.engine.kernels.descriptions import InterleavedKernel
from tatamu.engine.kernels.job import TABLE_HEADER, RowMode, Word
from tatamu.engine.lowering.common import Lowered, Operand, grain, operand_words, prefetches
from tatamu.engine.lowering.packed_rows import PackedRows
from tatamu.engine.lowering.sides import Side
from tatamu.engine.planning.common import tiles
from tatamu.engine.planning.interleaved import InterleavedPlan, plan_interleaved
from tatamu.engine.spec import ElementType
from tatamu.engine.tables import Rows, Table, aligned
from tatamu.engine.taps import AxisTaps
from tatamu.engine.target import Target
from tatamu.geometry import Geometry

_ADDRESS = 8
_OVERRUN = 8
"""Addresses that a list may be overrun by."""


def suits(
    element: ElementType,
    target: Target,
    side: Side,
    jobs: list[tuple[Rows, AxisTaps]],
    mode: RowMode,
    interleaved: tuple[bool, bool],
) -> bool:
    """Whether the interleaved kernel computes this: elements as stored, padding by zeros, full registers."""
    as_stored = element.parts == 1 and element.bits == element.compute_bits
    if target.multiplies_pairs(element):
        as_stored = side.channels % 2 == 0
    lanes = target.lanes(element.compute_bytes)
    filled = -(-side.m // lanes) * lanes * 3 <= 4 * side.m
    plain = mode is RowMode.ZEROS and not any(columns.listed for _, columns in jobs)
    return all(interleaved) and as_stored and filled and plain


def lower(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    side: Side,
    jobs: list[tuple[Rows, AxisTaps]],
    height: int,
    weight: Operand,
    *,
    frozen: bool,
) -> Lowered:
    """The pass; its arguments are those of the direct kernel. ``frozen`` weights are packed beforehand."""
    rows = max(tiles(target))
    pairs = 2 if target.multiplies_pairs(element) else 1
    kept = frozen and weight.is_dense(geometry.weight_size)
    kernel = InterleavedKernel(element, rows, tiles(target)[rows], kept or pairs == 2, dots=pairs == 2)
    table = Table(len(jobs))
    shared_words = {
        **operand_words("SOURCE", side.source, side.channels, 1),
        **operand_words("TARGET", side.target, side.m, 1),
        Word.IMAGES: geometry.batch,
        Word.GROUPS: geometry.groups,
        Word.M: side.m,
        Word.HEIGHT: height,
        Word.PREFETCHES: prefetches(geometry, element, target),
        Word.HAS_BIAS: int(side.bias_stride is not None),
        Word.BIAS_C: side.bias_stride or 0,
        Word.WEIGHT_G: side.weight_g,
        Word.WEIGHT_M: side.weight_m,
        Word.WEIGHT_C: side.weight_c,
    }
    first_task = operations = scratch = 0
    most, reason = 0, ""
    lanes, packed, all_places = target.lanes(element.compute_bytes), None, []
    for number, (down, across) in enumerate(jobs):
        channels, columns, places = _joined(geometry, side, down, across, weight)
        operations += (
            geometry.batch * down.grid * across.grid * geometry.groups * side.m * channels * len(places)
        )
        channels //= pairs
        pixels = geometry.batch * down.grid * across.grid
        plan = plan_interleaved(
            pixels, geometry.groups, side.m, channels, len(places), rows, kernel.vectors, element, target,
            packs=not kernel.packs_before,
        )  # fmt: skip
        if pixels > most:
            most, reason = pixels, plan.reason
        panels_at = panels_g = 0
        if kernel.packs_before:
            packed = packed or PackedRows(geometry, element, side, plan.vectors * lanes, lanes)
            panels_at, panels_g = packed.place(channels * len(places))
            all_places.append(places)
        blocks, m_blocks = -(-pixels // plan.pixel_block), -(-side.m // plan.m_block)
        tasks = geometry.groups * blocks * m_blocks
        room, scratch_of_job = _scratch_words(kernel, target, plan, len(places), channels)
        _, _, target_h, target_w = side.target
        table.set_job(number, {
            **shared_words,
            **room,
            Word.FIRST_TASK: first_task,
            Word.TASKS: tasks,
            Word.BLOCKS: blocks,
            Word.PIXEL_BLOCK: plan.pixel_block,
            Word.M_BLOCKS: m_blocks,
            Word.M_BLOCK: plan.m_block,
            Word.VECTORS: plan.vectors,
            Word.PANELS_AT: panels_at,
            Word.WEIGHT_PANEL: panels_g,
            Word.CHANNELS: channels,
            Word.SOURCE_CHANNELS: channels * pairs,
            Word.CHANNEL_BLOCK: plan.channel_block,
            Word.TAPS_A_STRETCH: plan.taps_a_stretch,
            Word.CHANNELS_A_STRETCH: plan.channels_a_stretch,
            Word.STRIDE_H: down.stride,
            Word.STRIDE_W: across.stride,
            Word.ROW_TAPS: len(down.taps),
            Word.ROW_TAP_TABLE: table.append([offset for _, offset in down.taps]),
            Word.TAPS_ACROSS: len(columns) // 4,
            Word.COLUMN_TAP_TABLE: table.append(columns),
            Word.WEIGHT_TAP_TABLE: table.append(places),
            Word.GRID_H: down.grid,
            Word.GRID_W: across.grid,
            Word.TARGET_BASE: down.first * target_h + across.first * target_w,
            Word.TARGET_H: target_h * down.step,
            Word.TARGET_W: target_w * across.step,
        })  # fmt: skip
        first_task += tasks
        scratch = max(scratch, scratch_of_job)
    table.set_header(
        JOBS=len(jobs),
        TASKS=first_task,
        GRAIN=grain(first_task, operations),
        SHARED=packed.shared_bytes if packed else 0,
        SCRATCH=scratch,
        PACK_TASKS=packed.tasks if packed else 0,
    )
    shared = packed.shared_bytes if packed else 0
    packing = packed.packing((target, "interleaved", plan.vectors), weight, all_places) if packed else None
    return Lowered(kernel, table.words, shared, scratch, operations, reason, packing)


def _joined(
    geometry: Geometry, side: Side, rows: Rows, columns: AxisTaps, weight: Operand
) -> tuple[int, list[int], list[int]]:
    """Channels, column taps as the kernel reads them, and where each tap lies in the weight.

    Column taps that read neighbouring pixels, all inside the source, are one tap with the channels of all,
    where both operands have those side by side.
    """
    _, _, step_h, step_w = weight.strides
    taps = columns.taps
    insides = [columns.inside(offset) for _, offset in taps]
    count, (from_weight, from_source) = len(taps), taps[0] if taps else (0, 0)
    joinable = (
        count > 1
        and geometry.groups == 1
        and side.source[3] == side.channels == step_w
        and side.weight_c == 1
        and all(inside == (0, columns.grid) for inside in insides)
        and all(tap == (from_weight + n, from_source + n) for n, tap in enumerate(taps))
    )
    if joinable:
        taps, insides = taps[:1], insides[:1]
    entries = [
        word
        for (_, offset), (low, high) in zip(taps, insides, strict=True)
        for word in (offset, low, high, 0)
    ]
    places = [i * step_h + j * step_w for i, _ in rows.taps for j, _ in taps]
    return side.channels * (count if joinable else 1), entries, places


def _scratch_words(
    kernel: InterleavedKernel, target: Target, plan: InterleavedPlan, taps: int, channels: int
) -> tuple[dict[Word, int], int]:
    """Where the parts of a thread's scratch begin, and how many bytes it has."""
    lanes, item = target.lanes(kernel.element.compute_bytes), kernel.element.compute_bytes
    width = plan.vectors * lanes
    addresses = plan.pixel_block + _OVERRUN
    waiting = plan.pixel_block + kernel.rows if plan.channel_block < channels else kernel.rows
    sizes = (
        (Word.ADDRESSES_AT, taps * addresses * _ADDRESS),
        (Word.RESULTS_AT, addresses * _ADDRESS),
        (Word.ZEROS_AT, channels * item),
        (Word.BIAS_AT, (plan.m_block + width) * item),
        (Word.PANEL_AT, 0 if kernel.packs_before else taps * plan.channel_block * width * item),
        (Word.TILES_AT, waiting * kernel.vectors * lanes * item),
    )
    words = {Word.ADDRESSES: addresses}
    end = aligned(8 * TABLE_HEADER)
    for word, size in sizes:
        words[word] = end
        end += aligned(size)
    return words, end
