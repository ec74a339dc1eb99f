"""How the source is laid out for the microkernel: the three forms of a slab."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tatamu.engine.kernels.job import Word
from tatamu.engine.tables import Rows, Table
from tatamu.engine.taps import AxisTaps


class Form(Enum):
    """What is copied, against what is computed in vain."""

    ALIGNED = "aligned"
    """``[channel][column tap][row][column]``: rows once per column tap, so that pixels count through."""
    GAPPED = "gapped"
    """``[channel][row][column]``: rows once, as wide as all column taps together need; the pixels between
    two rows of results are computed and dropped. For stride 1 and few result channels."""
    COPIED = "copied"
    """``[channel][row tap][column tap][image][row][column]``: one copy per tap (im2col), so that the pixels
    of several small images count through and no register is half empty."""


@dataclass(frozen=True)
class Slab:
    """A slab's words, and what of it decides how much room it takes."""

    words: dict[Word, int]
    channel_items: int
    pixels: int
    """Pixels of a block that are computed, dropped ones included."""


def lay_out(
    table: Table,
    rows: Rows,
    columns: AxisTaps,
    form: Form,
    block_h: int,
    block_w: int,
    images: int,
    lanes: int,
) -> Slab:
    """The slab of a block of ``block_h`` x ``block_w`` results of each of ``images`` images."""
    offsets = [offset for _, offset in columns.taps]
    gathered, extra = columns, 0
    if form is Form.GAPPED:
        extra = max(offsets) - min(offsets)
        # One tap that reads all columns from the leftmost on.
        gathered = AxisTaps(((0, min(offsets)),), columns.stride, columns.grid + extra, columns.size)
    pitch = block_w + extra
    if form is Form.COPIED:
        packs = len(rows.taps)
        lines = [[offset + line * rows.stride for line in range(block_h)] for _, offset in rows.taps]
        slot_count, slot_sources = block_h, [source for pack in lines for source in pack]
        plane_rows = images * block_h
    else:
        packs = 1
        found = _slots(rows, block_h)
        slot_count, slot_sources = len(found.sources), list(found.sources)
        plane_rows = slot_count
    plane = -(-(plane_rows * pitch + lanes) // lanes) * lanes
    places = []
    for i in range(len(rows.taps)):
        for j, offset in enumerate(offsets):
            if form is Form.COPIED:
                places.append((i * len(offsets) + j) * plane)
            elif form is Form.GAPPED:
                places.append(found.taps[i] * pitch + offset - min(offsets))
            else:
                places.append(j * plane + found.taps[i] * pitch)
    planes = max(1, packs * len(gathered.taps))
    image_pitch = block_h * pitch
    words = {
        Word.PITCH: pitch, Word.PLANE: plane, Word.PLANES: planes, Word.PACKS: packs, Word.SLOTS: slot_count,
        Word.SLOT_TABLE: table.append(slot_sources), Word.EXTRA_COLUMNS: extra, Word.IMAGE_PITCH: image_pitch,
        Word.ROW_TAPS: len(rows.taps), Word.TAPS_ACROSS: len(offsets), Word.PLACE_TABLE: table.append(places),
        Word.STRIDE_H: rows.stride, Word.IMAGES_A_TASK: images, Word.BLOCK_H: block_h, Word.BLOCK_W: block_w,
        **_column_words(table, gathered),
    }  # fmt: skip
    return Slab(words, planes * plane, (images - 1) * image_pitch + (block_h - 1) * pitch + block_w)


@dataclass(frozen=True)
class _Slots:
    """Which source rows a slab holds, relative to the block's first row; and each tap's first slot."""

    sources: tuple[int, ...]
    taps: tuple[int, ...]


def _slots(rows: Rows, block_h: int) -> _Slots:
    """Source rows of one stride phase lie side by side, so a step down in the result is one slot down."""
    phases: dict[int, set[int]] = {}
    for _, offset in rows.taps:
        phases.setdefault(offset % rows.stride, set()).add(offset // rows.stride)
    sources: list[int] = []
    number = {}
    for phase, starts in sorted(phases.items()):
        reached = min(starts)
        for start in sorted(starts):  # Each needs block_h rows, most of which the last one had.
            reached = max(reached, start)
            number[phase, start] = len(sources) - (reached - start)
            end = start + block_h
            sources += range(reached * rows.stride + phase, end * rows.stride + phase, rows.stride)
            reached = end
    return _Slots(
        tuple(sources), tuple(number[offset % rows.stride, offset // rows.stride] for _, offset in rows.taps)
    )


def _column_words(table: Table, columns: AxisTaps) -> dict[Word, int]:
    """Append the column taps to gather, with their edges."""
    entries: list[int] = []
    sources = 0
    for t, (_, offset) in enumerate(columns.taps):
        low, high = columns.inside(offset)
        lists = [columns.sources(p, t) for p in (*range(low), *range(high, columns.grid))]
        begin = table.append([source for found in lists for source in found])
        starts = [begin]
        for found in lists:
            starts.append(starts[-1] + len(found))
        sources += starts[-1] - begin
        entries += [offset, low, high, table.append(starts)]
    return {
        Word.COLUMN_TAPS: len(columns.taps),
        Word.COLUMN_TAP_TABLE: table.append(entries),
        Word.STRIDE_W: columns.stride,
        Word.EDGES_ARE_ZERO: int(sources == 0),
    }
