"""Tile and blocks of grad weight with channels in lanes: a pure function of the work and the target."""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.group_lanes import GroupLanes
from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import waiting
from tatamu.engine.planning.depthwise import FAR_CYCLES, PACK_CYCLES, counts
from tatamu.engine.target import Target
from tatamu.geometry import Axis

_MOST_TAPS_ACROSS = 7
_MOST_CHANNELS = 4
"""Of grad output in a tile: enough for its sums not to wait for one another."""
_PIXELS_OF_A_LINE = 256
"""What is summed at once is no longer than that."""
_ADD_CYCLES = 3
"""Of a sum of a block that is added to those of the blocks before."""
_TASKS_WANTED = 16
_PARTS_BYTES = 1 << 20
"""Of the sums of all parts."""


@dataclass(frozen=True)
class DepthwiseWeightPlan:
    """Register tile and blocks of grad weight; see `DepthwiseWeightKernel`.

    A task owns a part of the blocks of pixels, of ``block_h`` x ``block_w`` pixels of grad output, and
    ``registers`` of channels of the input; it sums ``lines`` at a time. ``slab_registers`` hold what a block
    reads of a register of channels.
    """

    rows: tuple[int, int]
    taps: tuple[int, int]
    channels: tuple[int, int]
    block_h: int
    block_w: int
    lines: int
    registers: int
    parts: int
    slab_registers: int
    reason: str


def plan_depthwise_weight(
    rows: Axis,
    columns: Axis,
    images: int,
    groups: GroupLanes,
    target: Target,
    interleaved: tuple[bool, bool],
    *,
    in_place: bool,
) -> DepthwiseWeightPlan:
    """A tile that fills the register file, and blocks that stay in cache and are enough for some threads.

    ``interleaved`` are input and grad output, which may be read ``in_place``. Results of ``groups`` are
    channels of the input.
    """
    down, across, channels = _tile(rows.kernel, columns.kernel, groups, target)
    register = target.vector_bytes
    most = target.l2_bytes // 4 // register
    block_w = min(columns.output, _PIXELS_OF_A_LINE)

    def extent(block_h: int) -> int:
        """Registers of a block of the input."""
        tall = (block_h - 1) * rows.stride + rows.effective_kernel
        return tall * ((block_w - 1) * columns.stride + columns.effective_kernel)

    while extent(1) > 2 * most and block_w > groups.lanes:
        block_w = -(-block_w // 2)
    column_blocks = -(-columns.output // block_w)
    products = rows.kernel * columns.kernel * groups.source

    def cost(choice: tuple[int, int]) -> float:
        """Cycles of a row of pixels of a register of channels."""
        block_h, together = choice
        read, grads = ((0 if in_place else PACK_CYCLES[flag]) + FAR_CYCLES / together for flag in interleaved)
        tasks = images * -(-rows.output // block_h) * column_blocks * -(-groups.registers // together)
        adding = _ADD_CYCLES * products / block_h
        return (extent(block_h) * read / block_h + block_w * (grads + products) + adding) * waiting(tasks)

    widths = counts(groups.registers) if all(interleaved) else [1]
    choices = [(-(-rows.output // n), together) for n in counts(rows.output) for together in widths]
    fitting = [choice for choice in choices if choice[1] * extent(choice[0]) <= most]
    block_h, together = min(fitting or [(1, 1)], key=cost)
    # What is passed over several times stays in the nearest cache.
    lines = max(1, min(block_h, STRETCH // block_w))
    while lines > 1 and (extent(lines) + lines * block_w) * register > target.l1_bytes * 3 // 4:
        lines -= 1
    blocks = images * -(-rows.output // block_h) * column_blocks
    wanted = -(-_TASKS_WANTED // -(-groups.registers // together))
    room = _PARTS_BYTES // (groups.registers * products * register)
    a_part = -(-blocks // max(1, min(blocks, wanted, room)))
    parts = -(-blocks // a_part)
    kind = "grouped" if (groups.source, groups.result) != (1, 1) else "depthwise"
    tile = (channels, down, across) if kind == "grouped" else (down, across)
    reason = (
        f"{kind} grad weight: registers of {groups.result_lanes} channels; {'x'.join(map(str, tile))} sums at"
        f" a time; blocks of {block_h}x{block_w} pixels of {together * groups.result_lanes} channels in"
        f" {parts} parts"
    )
    return DepthwiseWeightPlan(
        (down, rows.kernel % down),
        (across, columns.kernel % across),
        (channels, groups.source % channels) if kind == "grouped" else (0, 0),
        block_h,
        block_w,
        lines,
        together,
        parts,
        extent(block_h),
        reason,
    )


def _tile(kernel_h: int, kernel_w: int, groups: GroupLanes, target: Target) -> tuple[int, int, int]:
    """Rows and columns of taps, and channels of grad output, whose sums the register file holds."""
    sums = target.registers - 4
    across = -(-kernel_w // -(-kernel_w // min(_MOST_TAPS_ACROSS, sums)))
    down = -(-kernel_h // -(-kernel_h // max(1, sums // across)))
    # Besides sums, each channel has an order of lanes and a register in that order.
    most = max(1, min(_MOST_CHANNELS, (target.registers - 1) // (down * across + 2)))
    return down, across, -(-groups.source // -(-groups.source // most))
