"""What to run, and in which pieces: a pure function of the work and the target.

Nothing here depends on the number of threads, so results do not either.
"""

from __future__ import annotations

from dataclasses import dataclass

from tatamu.engine.kernels.direct import STRETCH
from tatamu.engine.slabs import Form
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target

_TASKS_WANTED = 8
_PIXELS_WANTED = 320
_PIXELS_AT_LEAST = 64
_ROWS_AT_LEAST = 64
_OUTER_PIXELS = 192
_DOT_PIXELS = 1024
_COPY_CYCLES = 4


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
    gap: int | None
    """Source columns from the first tap to the last, less one; None where rows cannot be gapped."""
    images_follow: bool
    """Whether the results of an image are a constant step apart, so that images can be taken together."""


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


def _form(work: Work, rows: int, lanes: int) -> Form:
    """The form of slab that costs least, in cycles for a register of results of one channel of the source."""
    taps = work.row_taps * work.column_taps
    pixels = work.grid_h * work.grid_w
    products = -(-work.m // rows) * rows * taps / 2
    whole = pixels if work.grid_h > 1 and pixels <= _PIXELS_WANTED else max(pixels, _PIXELS_WANTED)
    idle = -(-whole // lanes) * lanes / whole
    costs = {Form.ALIGNED: work.column_taps * _COPY_CYCLES + products * idle}
    if work.gap is not None and work.grid_w <= _PIXELS_WANTED:
        wider = (work.grid_w + work.gap) / work.grid_w
        costs[Form.GAPPED] = (_COPY_CYCLES + products) * wider
    if work.images_follow and work.batch > 1 and pixels <= _PIXELS_WANTED:
        costs[Form.COPIED] = taps * _COPY_CYCLES + products
    return min(costs, key=costs.__getitem__)


def plan_direct(work: Work, element: ElementType, target: Target) -> Plan:
    """The plan of the direct (implicit GEMM) kernel."""
    choices = tiles(target)
    rows = _rows(work.m, choices)
    lanes = target.lanes(element.compute_bytes)
    vectors = choices[rows]
    width = vectors * lanes
    item = element.compute_bytes
    taps = max(1, work.row_taps * work.column_taps)
    form = _form(work, rows, lanes)

    # One tile's part of the slab should stay in L1 while all rows of weights pass over it.
    tile_bytes = taps * width * item
    channel_block = max(1, min(target.l1_bytes * 3 // 4 // tile_bytes, STRETCH // taps))
    if channel_block * 2 > work.channels:
        channel_block = work.channels
    channel_block = min(channel_block, max(1, work.channels))

    def slab_bytes(block_h: int, block_w: int) -> int:
        slots = (block_h - 1) * work.stride_h + work.row_span
        copies = {Form.ALIGNED: max(1, work.column_taps), Form.GAPPED: 1, Form.COPIED: taps}[form]
        return (
            channel_block * copies * slots * (block_w + (work.gap or 0 if form is Form.GAPPED else 0)) * item
        )

    budget = target.l2_bytes * 3 // 8
    block_w = work.grid_w
    block_h, images = max(1, min(work.grid_h, _PIXELS_WANTED // max(1, block_w))), 1
    if form is Form.COPIED:
        block_h, images = work.grid_h, max(1, min(work.batch, _PIXELS_WANTED // (work.grid_h * work.grid_w)))
    else:
        while block_h > 1 and slab_bytes(block_h, block_w) > budget:
            block_h -= 1
    if block_h == 1 and form is Form.ALIGNED:
        while block_w > width and (block_w > 2 * _PIXELS_WANTED or slab_bytes(1, block_w) > budget):
            block_w = -(-(block_w // 2) // width) * width

    def tasks(m_block: int) -> int:
        blocks = -(-work.grid_h // block_h) * -(-work.grid_w // block_w)
        return -(-work.batch // images) * work.groups * blocks * -(-work.m // m_block)

    m_block = -(-work.m // rows) * rows
    while tasks(m_block) < _TASKS_WANTED and m_block // 2 >= _ROWS_AT_LEAST:
        m_block = -(-(m_block // 2) // rows) * rows
    if form is not Form.COPIED:
        while (
            tasks(m_block) < _TASKS_WANTED and block_h > 1 and -(-block_h // 2) * block_w >= _PIXELS_AT_LEAST
        ):
            block_h = -(-block_h // 2)
    # Sums wait in memory between channel blocks: they should stay in L2.
    if channel_block < work.channels:
        most = max(1, target.l2_bytes // 3 // (images * block_h * block_w * item) // rows) * rows
        m_block = min(m_block, most)
    reason = (
        f"direct: {rows}x{vectors} tile for {work.m} channels; {form.value} slabs of {channel_block} of"
        f" {work.channels} channels; blocks of {images}x{block_h}x{block_w} results, {m_block} channels each"
    )
    return Plan(rows, vectors, form, images, block_h, block_w, channel_block, m_block, reason)


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

    m_block = min(padded_m, max(tile_columns, most_tiles // (128 * item) // tile_columns * tile_columns))
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
