"""What to run, and in which pieces: a pure function of the work and the target.

Nothing here depends on the number of threads, so results do not either.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from tatamu.engine.kernels.descriptions import STRETCH
from tatamu.engine.slabs import Form
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_TASKS_WANTED = 8
"""Enough for a few threads to share evenly; fewer cost waiting, by a power of what is missing."""
_WAITING_POWER = 0.3
_PIXELS_WANTED = 320
_ROWS_AT_LEAST = 64
_TILES_AT_LEAST = 2
"""Of a task, one above the other: its pixels are gathered for all of them."""
_OUTER_PIXELS = 192
_DOT_PIXELS = 1024
_COPY_CYCLES = 4
"""Of a register that is gathered into a slab, twice that where it skips columns."""
_ROW_COPIES = 3
"""What a row costs besides, in registers."""
_MULTIPLY_ADDS_A_CYCLE = 1
"""Of the widest registers: some machines split them in two, others have one unit for them."""
_LOADS_A_CYCLE = 2
_NEAR_BYTES_A_CYCLE = 32
_FAR_BYTES_A_CYCLE = 4
_PACK_CYCLES = 0.7
"""Of a weight that is turned and packed."""
_READ_CYCLES = 0.3
"""Of a weight that was packed before, from the cache that all cores share."""
_LIST_CYCLES = 1
"""Of an address that is listed."""
_MOST_PIXELS = 1024
_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""In how many blocks the pixels of a batch may be cut."""


def waiting(tasks: int) -> float:
    """What a call costs, relative to its work, where its tasks are too few to be shared evenly."""
    return math.pow(max(1.0, _TASKS_WANTED / tasks), _WAITING_POWER)


@dataclass(frozen=True)
class Work:
    """The shape of one job: results of ``m`` channels on a grid, from ``channels`` channels and some taps."""

    batch: int
    groups: int
    m: int
    channels: int
    grid_h: int
    grid_w: int
    row_taps: int
    column_taps: int
    row_span: int
    """Source rows from the first tap to the last."""
    stride_h: int
    stride_w: int
    gap: int | None
    """Source columns from the first tap to the last, less one; None where rows cannot be gapped."""
    images_follow: bool
    """Whether the results of an image are a constant step apart, so that images can be taken together."""
    gathered: int = 1
    """Channels of the source that are gathered into one: two where they are multiplied in pairs."""


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


def tiles(target: Target) -> dict[int, int]:
    """Registers of pixels for each number of rows that a register tile may have.

    rows x vectors sums, the vectors of one step and a scalar must fit the register file, and enough
    sums must be in flight to hide the latency of multiply-add.
    """
    if target.registers >= 32:
        return {8: 3, 4: 6, 2: 8, 1: 8}
    return {4: 3, 2: 5, 1: 8}


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
            if tasks >= _TASKS_WANTED:  # More parts would only gather more often.
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


@dataclass(frozen=True)
class InterleavedPlan:
    """Blocks of the interleaved kernel: see `Plan`; a block of ``pixel_block`` counts through all images."""

    vectors: int
    pixel_block: int
    m_block: int
    channel_block: int
    taps_a_stretch: int
    channels_a_stretch: int
    reason: str


@functools.lru_cache(maxsize=64)  # As above.
def plan_interleaved(
    pixels: int,
    groups: int,
    m: int,
    channels: int,
    taps: int,
    rows: int,
    most_vectors: int,
    element: ElementType,
    target: Target,
    *,
    packs: bool = True,
) -> InterleavedPlan:
    """The plan of the interleaved kernel, for one job of ``pixels`` results of ``m`` channels.

    Each task packs the weights it needs, unless ``packs`` is False.
    """
    item = element.compute_bytes
    lanes = target.lanes(item)
    registers = -(-m // lanes)
    vectors = -(-registers // -(-registers // most_vectors))
    width = vectors * lanes

    # A panel is read once for each tile of pixels: it should stay in L2.
    most_channels = max(1, target.l2_bytes // 2 // (max(1, taps) * width * item))
    channel_block = channels
    if channels > most_channels:
        even = -(-channels // -(-channels // most_channels))
        channel_block = even if even < lanes else -(-even // lanes) * lanes
    if channel_block <= STRETCH:
        taps_a_stretch, channels_a_stretch = max(1, STRETCH // channel_block), channel_block
    else:
        taps_a_stretch, channels_a_stretch = 1, -(-channel_block // -(-channel_block // STRETCH))

    tiles_across = -(-registers // vectors)
    products = channels * max(1, taps)

    def cycles(pixel_block: int, m_block: int) -> float:
        """Of one result, in a task of so many."""
        tasks = groups * -(-pixels // pixel_block) * -(-m // m_block)
        multiplying = -(-pixel_block // rows) * rows * m_block // lanes * products
        packing = (_PACK_CYCLES if packs else _READ_CYCLES) * products * m_block
        listing = _LIST_CYCLES * pixel_block * taps
        return (multiplying + packing + listing) * waiting(tasks) / (pixel_block * m_block)

    choices = [
        (-(-pixels // parts // rows) * rows, -(-tiles_across // across) * width)
        for parts in _PARTS
        if parts <= max(1, pixels // rows)
        for across in range(1, min(8, tiles_across) + 1)
    ]
    least = min(pixel_block for pixel_block, _ in choices)
    fitting = [
        choice
        for choice in choices
        if choice[0] <= max(least, min(_MOST_PIXELS, target.l2_bytes // 8 // (8 * max(1, taps))))
    ]
    pixel_block, m_block = min(fitting, key=lambda choice: cycles(*choice))
    reason = (
        f"interleaved: {rows}x{vectors} tile for {m} channels; blocks of {pixel_block} pixels, {m_block}"
        f" channels each, summed over {channel_block} of {channels} channels at a time"
    )
    return InterleavedPlan(
        vectors, pixel_block, m_block, channel_block, taps_a_stretch, channels_a_stretch, reason
    )


@dataclass(frozen=True)
class GradWeightPlan:
    """Register tile and blocks of grad weight; see `GradWeightKernel` and `Plan`."""

    rows: int
    vectors: int
    dot: bool
    block_h: int
    block_w: int
    channel_block: int
    m_block: int
    reason: str


def plan_grad_weight(work: Work, element: ElementType, target: Target) -> GradWeightPlan:
    """The plan of grad weight: which operand's channels fill a register, and what stays in cache."""
    lanes = target.lanes(element.compute_bytes)
    item = element.compute_bytes
    taps = work.row_taps * work.column_taps
    # Few result channels leave most of a register idle; dot products fill it with pixels instead.
    dot = work.m * 2 <= lanes
    if dot:
        vectors = min(4, work.m)
        rows = (
            {1: 8, 2: 8, 3: 6, 4: 6}[vectors] if target.registers >= 32 else {1: 6, 2: 4, 3: 2, 4: 2}[vectors]
        )
        tile_columns = vectors
    else:
        rows = max(tiles(target))
        vectors = tiles(target)[rows]
        tile_columns = vectors * lanes
    padded_m = -(-work.m // tile_columns) * tile_columns
    most_tiles = target.l2_bytes // 4

    wanted = _DOT_PIXELS if dot else _OUTER_PIXELS
    block_w = work.grid_w
    block_h = max(1, min(work.grid_h, wanted // max(1, block_w)))
    if block_h == 1:
        block_w = min(block_w, max(lanes, wanted // lanes * lanes))
    slots = (block_h - 1) * work.stride_h + work.row_span

    m_block = min(
        padded_m, max(tile_columns, most_tiles // (max(128, taps) * item) // tile_columns * tile_columns)
    )
    slab_channel_bytes = work.column_taps * slots * block_w * item
    channel_block = max(
        1, min(most_tiles // (taps * m_block * item), most_tiles // max(1, slab_channel_bytes))
    )
    channel_block = min(channel_block, work.channels)
    wanted_tasks = max(1, _TASKS_WANTED // 4)

    def tasks() -> int:
        return work.groups * -(-work.channels // channel_block) * -(-work.m // m_block)

    while (
        tasks() < wanted_tasks and channel_block * taps > 2 * _ROWS_AT_LEAST and channel_block > element.parts
    ):
        channel_block = -(-channel_block // 2)
    while tasks() < wanted_tasks and m_block > tile_columns:
        m_block = -(-(m_block // 2) // tile_columns) * tile_columns
    if element.parts == 2:  # The two parts of a channel are combined when they are stored.
        channel_block += channel_block % 2
        m_block += m_block % 2
    reason = (
        f"grad weight by {'dot products' if dot else 'outer products'}: {rows}x{vectors}"
        f" tile; {channel_block} of {work.channels} input and {m_block} of {work.m} output channels a task;"
        f" blocks of {block_h}x{block_w} pixels"
    )
    return GradWeightPlan(rows, vectors, dot, block_h, block_w, channel_block, m_block, reason)
