"""Register tile, form of the slabs and blocks of the direct kernel."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.planning.common import TASKS_WANTED, Work, tiles, waiting
from tatamu.engine.slabs import Form
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_PIXELS_WANTED = 320
_TILES_AT_LEAST = 2
"""Of a task, one above the other: its pixels are gathered for all of them."""
_COPY_CYCLES = 4
"""Of a register that is gathered into a slab, twice that where it skips columns."""
_ROW_COPIES = 3
"""What a row costs besides, in registers."""
_MULTIPLY_ADDS_A_CYCLE = 1
"""Of the widest registers: some machines split them in two, others have one unit for them."""
_LOADS_A_CYCLE = 2
_NEAR_BYTES_A_CYCLE = 32
_FAR_BYTES_A_CYCLE = 4


@dataclass(frozen=True)
class Plan:
    """Register tile and blocks of a job, with the reason in words.

    A block of results is ``block_h`` whole rows of ``block_w`` columns of each of ``images`` images;
    ``channel_block`` channels are gathered at a time in the given form, and a task computes ``m_block``
    result channels.
    """

    rows: int
    vectors: int
    form: Form
    images: int
    block_h: int
    block_w: int
    channel_block: int
    m_block: int
    reason: str


def _rows(m: int, choices: dict[int, int]) -> int:
    """The tile height that wastes the least; taller tiles read less for each product."""
    largest = max(choices)

    def cost(rows: int) -> float:
        return -(-m // rows) * rows * (1 + 0.1 * (largest / rows - 1))

    return min(choices, key=cost)


@dataclass(frozen=True)
class _Cut:
    """A way to cut a grid into blocks, and what one channel of the source costs for all of them."""

    form: Form
    images: int
    block_h: int
    block_w: int
    slab_bytes: int
    m_block: int
    cycles: float


def _splits(size: int) -> list[int]:
    """Block heights that cut ``size`` rows evenly, the largest first."""
    pieces = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, size)
    return sorted({-(-size // min(n, size)) for n in pieces}, reverse=True)


def _image_counts(work: Work) -> list[int]:
    """How many images' pixels may be counted through together: even parts of the batch."""
    pixels = work.grid_h * work.grid_w
    if not work.images_follow or pixels > _PIXELS_WANTED:
        return []
    return [n for n in _splits(work.batch) if 1 < n <= 2 * _PIXELS_WANTED // pixels]


def _step_cycles(rows: int, vectors: int) -> float:
    """Cycles of one step of a register tile: bound by multiply-adds, or by loads.

    A step loads ``rows`` scalars, two table entries, and ``vectors`` registers that mostly straddle two
    cache lines.
    """
    return max(rows * vectors / _MULTIPLY_ADDS_A_CYCLE, (rows + 2 + 2 * vectors) / _LOADS_A_CYCLE + 0.5)


def _cuts(
    work: Work, tile: tuple[int, int], channel_block: int, lanes: int, item: int, target: Target
) -> Iterator[_Cut]:
    """Every way worth weighing."""
    rows, vectors = tile
    taps = work.row_taps * work.column_taps
    weight_bytes = work.m * taps * item
    far = weight_bytes * work.channels > target.l2_bytes // 2
    weight_cycles = weight_bytes / (_FAR_BYTES_A_CYCLE if far else _NEAR_BYTES_A_CYCLE)
    panels = -(-work.m // rows)

    most_parts = max(1, panels // _TILES_AT_LEAST)
    all_parts = [n for n in (1, 2, 4, 8) if n <= most_parts]

    def cuts(form: Form, copies: int, extra: int, images: int, block_h: int) -> Iterator[_Cut]:
        pixels = (images * block_h - 1) * (work.grid_w + extra) + work.grid_w
        slots = (block_h - 1) * work.stride_h + (1 if form is Form.COPIED else work.row_span)
        slab_bytes = channel_block * copies * images * slots * (work.grid_w + extra) * item
        blocks = -(-work.batch // images) * -(-work.grid_h // block_h)
        # A single wide row is cut into columns afterwards.
        pieces = -(-work.grid_w // (2 * _PIXELS_WANTED)) if block_h == 1 else 1
        across, rest = divmod(-(-pixels // lanes), vectors)
        steps = across * _step_cycles(rows, vectors) + (_step_cycles(rows, rest) if rest else 0)
        copies_a_row = -(-(work.grid_w + extra) // lanes) * (1 if work.stride_w == 1 else 2)
        row_cycles = work.gathered * _COPY_CYCLES * (_ROW_COPIES + copies_a_row)
        packing = copies * images * slots * row_cycles
        multiplying = panels * taps * steps + weight_cycles
        for parts in all_parts:
            tasks = blocks * work.groups * parts * pieces
            cycles = (parts * packing + multiplying) * waiting(tasks) * blocks
            m_block = -(-panels // parts) * rows
            yield _Cut(form, images, block_h, work.grid_w, slab_bytes, m_block, cycles)
            if tasks >= TASKS_WANTED:  # More parts would only gather more often.
                break

    for block_h in _splits(work.grid_h):
        pixels = block_h * work.grid_w
        too_many = pixels > _PIXELS_WANTED * 4 and block_h > 1
        # Fewer than a register leave part of it empty, and rows can be had.
        too_few = pixels < lanes and block_h < work.grid_h
        if too_many or too_few:
            continue
        yield from cuts(Form.ALIGNED, max(1, work.column_taps), 0, 1, block_h)
        if work.gap is not None:
            yield from cuts(Form.GAPPED, 1, work.gap, 1, block_h)
    for images in _image_counts(work):
        yield from cuts(Form.COPIED, max(1, taps), 0, images, work.grid_h)


@functools.lru_cache(maxsize=64)  # Edges of a grid come in fours.
def plan_direct(work: Work, element: ElementType, target: Target) -> Plan:
    """The plan of the direct (implicit GEMM) kernel."""
    choices = tiles(target)
    rows = _rows(work.m, choices)
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    vectors = choices[rows]
    width = vectors * lanes
    taps = max(1, work.row_taps * work.column_taps)

    # One tile's part of the slab should stay in L1, and a stretch of sums in registers.
    channel_block = max(1, min(target.l1_bytes * 3 // 4 // (taps * width * item), STRETCH // taps))
    if channel_block * 2 > work.channels:
        channel_block = work.channels
    channel_block = min(channel_block, max(1, work.channels))
    budget = target.l2_bytes * 3 // 8
    cuts = list(_cuts(work, (rows, vectors), channel_block, lanes, item, target))
    smallest = min(cut.slab_bytes for cut in cuts)
    fitting = [cut for cut in cuts if cut.slab_bytes <= max(budget, smallest)]
    best = min(fitting, key=lambda cut: cut.cycles)
    block_w, form = best.block_w, best.form
    if best.block_h == 1 and form is not Form.COPIED:
        bytes_a_column = best.slab_bytes // block_w
        while block_w > width and (block_w > 2 * _PIXELS_WANTED or bytes_a_column * block_w > budget):
            block_w = -(-(block_w // 2) // width) * width
        # As even as whole registers allow: a short last block would leave threads waiting for the others.
        even = -(-work.grid_w // -(-work.grid_w // block_w))
        block_w = min(block_w, -(-even // lanes) * lanes)
        if block_w < work.grid_w:
            form = Form.ALIGNED
    # A task's panels of weights are read once for each tile of pixels: they should stay in L2.
    m_block = min(best.m_block, max(1, target.l2_bytes // 4 // (channel_block * taps * item) // rows) * rows)
    # Sums wait in memory between channel blocks: they should stay in L2.
    if channel_block < work.channels:
        tile_bytes = best.images * best.block_h * block_w * item
        m_block = min(m_block, max(1, target.l2_bytes // 3 // tile_bytes // rows) * rows)
    block = f"{best.images}x{best.block_h}x{block_w}"
    reason = (
        f"direct: {rows}x{vectors} tile for {work.m} channels; {form.value} slabs of {channel_block} of"
        f" {work.channels} channels; blocks of {block} results, {m_block} channels each"
    )
    return Plan(rows, vectors, form, best.images, best.block_h, block_w, channel_block, m_block, reason)
