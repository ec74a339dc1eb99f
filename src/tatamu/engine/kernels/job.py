"""The words that a generated function and the host agree on: one table of 64-bit integers a call.

A *job* is one grid of results with one set of taps: the whole forward pass, or one stride phase of
grad input. Its `Word`s say where things lie; its tables (taps, edges) follow in the same array and
are named by their position in it. Nothing in here is a pointer, so a table is made once per
geometry and shared by all calls, on any thread.
"""

from __future__ import annotations

from enum import IntEnum, auto


class Header(IntEnum):
    """The first words of the array."""

    JOBS = 0
    TASKS = auto()
    GRAIN = auto()
    """Tasks that a thread takes at a time."""
    SHARED = auto()
    """Bytes of workspace that all threads share (packed weights); each thread's own scratch follows."""
    SCRATCH = auto()
    """Bytes of workspace per thread."""
    PACK_TASKS = auto()
    FIRST_JOB = auto()


class Word(IntEnum):
    """The words of a job. Strides and bases count stored scalars, sizes count elements."""

    # The tasks: batch x groups x blocks of pixels x blocks of rows of the product.
    FIRST_TASK = 0
    TASKS = auto()
    GROUPS = auto()
    BLOCKS = auto()
    COLUMN_BLOCKS = auto()
    M_BLOCKS = auto()
    M_BLOCK = auto()
    # The source that is gathered into slabs.
    SOURCE_N = auto()
    SOURCE_G = auto()
    SOURCE_C = auto()
    SOURCE_H = auto()
    SOURCE_W = auto()
    SOURCE_NEGATED = auto()
    """1 where imaginary parts are to be read with their sign turned."""
    CHANNELS = auto()
    CHANNEL_BLOCK = auto()
    HEIGHT = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    ROW_MODE = auto()
    # The slab.
    PITCH = auto()
    PLANE = auto()
    SLOTS = auto()
    SLOT_TABLE = auto()
    ROW_TAPS = auto()
    ROW_TAP_TABLE = auto()
    COLUMN_TAPS = auto()
    COLUMN_TAP_TABLE = auto()
    # The grid of results.
    GRID_H = auto()
    GRID_W = auto()
    BLOCK_H = auto()
    M = auto()
    TARGET_BASE = auto()
    TARGET_N = auto()
    TARGET_G = auto()
    TARGET_C = auto()
    TARGET_H = auto()
    TARGET_W = auto()
    RUN = auto()
    """Pixels of a block whose results lie side by side before the next row begins."""
    HAS_BIAS = auto()
    BIAS_C = auto()
    # The second operand: weights, or for grad weight the gradient of the output.
    PACKED_TAPS = auto()
    WEIGHT_TAP_TABLE = auto()
    """Where each packed tap lies within a (row, channel) of the weight."""
    TAP_TABLE = auto()
    """The packed tap of each (row tap, column tap) of this job."""
    WEIGHT_G = auto()
    WEIGHT_M = auto()
    WEIGHT_C = auto()
    WEIGHT_NEGATED = auto()
    WEIGHT_CONTIGUOUS = auto()
    """1 where (channel, tap) of one row of weights lie side by side."""
    SECOND_N = auto()
    SECOND_G = auto()
    SECOND_C = auto()
    SECOND_H = auto()
    SECOND_W = auto()
    SECOND_NEGATED = auto()
    IMAGES = auto()
    """Images that grad weight sums over."""
    # A thread's scratch, in bytes from its beginning; the table of offsets comes first.
    SLAB_AT = auto()
    PANEL_AT = auto()
    TILES_AT = auto()
    LENGTH = auto()
    """Not a word: how many there are."""


class RowMode(IntEnum):
    """What stands for a row of the source that lies outside it."""

    ZEROS = 0
    REFLECT = auto()
    REPLICATE = auto()
    CIRCULAR = auto()


class RowTap(IntEnum):
    """One entry of the row tap table."""

    SLOT = 0
    """The slab row that holds this tap's source row for the first output row of a block."""
    OFFSET = auto()
    """Source row minus output row times stride."""
    LENGTH = auto()


class ColumnTap(IntEnum):
    """One entry of the column tap table."""

    OFFSET = 0
    """Source column minus output column times stride."""
    LOW = auto()
    HIGH = auto()
    """Output columns LOW to HIGH read the source itself; the others are edges."""
    EDGES = auto()
    """Position of the edge table: for each edge column, where its list of source columns begins."""
    LENGTH = auto()
