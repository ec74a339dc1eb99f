"""The words that a generated function and the host agree on: a few for each call, and one table of integers.

A *job* is one grid of results with one set of taps: the whole forward pass, or one stride phase of
grad input. Its `Word`s say where things lie; its tables (taps, edges) follow in the same array and
are named by their position in it. Nothing in here is a pointer, so a table is made once per
geometry and shared by all calls, on any thread.
"""

from __future__ import annotations

from enum import IntEnum, auto


class CallWord(IntEnum):
    """The words of one call, which is all that a generated function is given: see `contract.md`."""

    TABLE = 0
    SOURCE = auto()
    SECOND = auto()
    BIAS = auto()
    TARGET = auto()
    WORKSPACE = auto()
    THREADS = auto()
    PACKED = auto()
    """Where packed weights lie that outlive the call; 0: they are packed in the workspace."""
    FILLED = auto()
    """1: `PACKED` holds them already, from an earlier call."""
    RESIDUAL = auto()
    """What is added to the results of a kernel whose ending says so; lies in memory as they do."""
    TAKEN = auto()
    """The function's own: threads that have begun."""
    NEXT = auto()
    """The function's own: the first task that no thread has taken."""
    LENGTH = auto()
    """Not a word: how many there are."""


class Header(IntEnum):
    """The first words of the array."""

    JOBS = 0
    TASKS = auto()
    GRAIN = auto()
    """Tasks that a thread takes at a time."""
    SHARED = auto()
    """Bytes of workspace that all threads share, unless the call brings `PACKED`; scratch follows."""
    SCRATCH = auto()
    """Bytes of workspace per thread."""
    PACK_TASKS = auto()
    LOW = auto()
    """The bits of the bounds that results are kept between by an ending that clamps."""
    HIGH = auto()
    FIRST_JOB = auto()


class Word(IntEnum):
    """The words of a job. Strides and bases count stored scalars, sizes count elements."""

    # The tasks: images x groups x blocks of pixels x blocks of rows of the product.
    FIRST_TASK = 0
    TASKS = auto()
    IMAGES = auto()
    IMAGES_A_TASK = auto()
    GROUPS = auto()
    BLOCKS = auto()
    COLUMN_BLOCKS = auto()
    PIXEL_BLOCK = auto()
    """Pixels of a block that counts through all images (channels side by side)."""
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
    SOURCE_CHANNELS = auto()
    """Where `CHANNELS` are pairs of bf16: how many channels there are."""
    HEIGHT = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    ROW_MODE = auto()
    EDGES_ARE_ZERO = auto()
    """1 where no edge has a source: padding by zeros, all over."""
    # The slab: see `engine/slabs.py` for its three forms.
    PITCH = auto()
    """Elements from one slab row to the next."""
    PLANE = auto()
    PLANES = auto()
    """Planes of a channel."""
    PACKS = auto()
    """Sets of rows that are gathered one after another, each into planes of its own."""
    SLOTS = auto()
    SLOT_TABLE = auto()
    COLUMN_TAPS = auto()
    COLUMN_TAP_TABLE = auto()
    EXTRA_COLUMNS = auto()
    """Columns of a slab row beyond those of the results."""
    IMAGE_PITCH = auto()
    """Elements from one image of a task to the next."""
    IN_PLACE = auto()
    """1 where the source itself can stand for the slab: a whole number of registers of its pixels."""
    # Slabs whose lanes are channels count positions of the padded source: 0 is the first row of padding.
    PADDED_ROWS = auto()
    """Positions that `PADDED_ROW_TABLE` knows; those past them are zeros."""
    PADDED_ROW_TABLE = auto()
    """The source row of each padded row, or -1 for zeros."""
    ROW_BEFORE = auto()
    """Rows of padding before the source; negative where the source is cropped."""
    ROW_LOW = auto()
    ROW_HIGH = auto()
    """Padded rows outside LOW to HIGH are zeros."""
    PADDED_COLUMNS = auto()
    COLUMN_BEFORE = auto()
    """Columns of padding before the source; negative where the source is cropped."""
    COLUMN_LOW = auto()
    COLUMN_HIGH = auto()
    """Padded columns LOW to HIGH lie in the source; the others are edges."""
    PADDED_COLUMN_TABLE = auto()
    """The source column of each edge column, or -1 for zeros: those before LOW, then those from HIGH on."""
    # Depthwise: results of a phase read slab positions STRIDE apart, its taps TAP_STEP apart.
    ROW_PHASES = auto()
    """Rows of results from one to the next of the same phase."""
    ROW_PHASE_TABLE = auto()
    """`TapPhase` entries, one for each phase."""
    COLUMN_PHASES = auto()
    COLUMN_PHASE_TABLE = auto()
    TAP_STEP_H = auto()
    TAP_STEP_W = auto()
    SPAN_H = auto()
    """Slab positions from the first that any phase reads for its first result to the last, both included."""
    SPAN_W = auto()
    PANEL_STEP_H = auto()
    """Rows of the weight from one tap to the next; negative where the kernel is flipped."""
    PANEL_STEP_W = auto()
    PANEL_ROW = auto()
    """Registers of a panel from one row of the weight to the next; likewise for columns and channels."""
    PANEL_COLUMN = auto()
    PANEL_CHANNEL = auto()
    # Groups of few channels: a register holds those of several groups.
    SOURCE_LANES = auto()
    """Lanes that the channels of whole groups fill."""
    RESULT_LANES = auto()
    REGISTERS = auto()
    """That hold all channels."""
    TARGET_LANE_TABLE = auto()
    """Where the results of each lane begin."""
    DEPTH = auto()
    """Channels that are summed over."""
    PATTERN_TABLE = auto()
    """For each of them, the lane of the source that each lane is multiplied with: see `permutation.py`."""
    WEIGHT_BLOCK = auto()
    """Elements of the weight from one register of channels to the next."""
    WEIGHT_LANE_TABLE = auto()
    """Where the weights of each lane begin."""
    WEIGHT_RUN = auto()
    """Weights of a lane that lie side by side; `WEIGHT_TAP_TABLE` says where each run begins."""
    STRETCH_ROWS = auto()
    """Row taps that are summed before they are added to the sum of the others."""
    PREFETCHES = auto()
    """1 where operands are too large to be near: lines of the next tiles are asked for."""
    # The products: which weight meets which place of the slab.
    # Where a kernel with pixels as scalars reads them: a copy of padded planes, or the source itself.
    PLACE_N = auto()
    PLACE_C = auto()
    PLACE_H = auto()
    PLACE_W = auto()
    SOURCE_BASE = auto()
    """The first pixel that a tap reads in the source."""
    SPARE_ROWS = auto()
    """Rows that the last tile may have too many."""
    # Stride phases as result channels: see `kernels/phases.py`.
    PHASES_H = auto()
    PHASES_W = auto()
    FIRST_H = auto()
    FIRST_W = auto()
    """The position of the first patch, which may begin before the result."""
    RESULT_H = auto()
    RESULT_W = auto()
    WEIGHT_RUN_TABLE = auto()
    """For each tap and register of result channels, where its weights lie side by side, or -1."""
    ROW_TAPS = auto()
    TAPS_ACROSS = auto()
    """Column taps of each row tap."""
    ROW_TAP_TABLE = auto()
    """Source row minus result row times stride, of each row tap."""
    VECTORS = auto()
    """Registers of result channels that a tile is wide."""
    TAPS_A_STRETCH = auto()
    CHANNELS_A_STRETCH = auto()
    """Taps and channels whose products are summed in registers at a time."""
    PLACE_TABLE = auto()
    """Where each (row tap, column tap) begins within a channel's slab."""
    # The grid of results.
    GRID_H = auto()
    GRID_W = auto()
    BLOCK_H = auto()
    BLOCK_W = auto()
    M = auto()
    TARGET_BASE = auto()
    TARGET_N = auto()
    TARGET_G = auto()
    TARGET_C = auto()
    TARGET_H = auto()
    TARGET_W = auto()
    RUN = auto()
    """Pixels of a block whose results are a constant step apart; then the next line begins."""
    PERIOD = auto()
    """Pixels from the start of one run to the next; those past the run are not results."""
    HAS_BIAS = auto()
    BIAS_C = auto()
    # The second operand: weights, or for grad weight the gradient of the output.
    WEIGHT_TAP_TABLE = auto()
    """Where each (row tap, column tap) lies within a (row, channel) of the weight."""
    WEIGHT_G = auto()
    WEIGHT_M = auto()
    WEIGHT_C = auto()
    WEIGHT_NEGATED = auto()
    WEIGHT_CONTIGUOUS = auto()
    """1 where (channel, tap) of one row of the gradient of the weights lie side by side."""
    PACKED_TAPS = auto()
    """Taps of a packed panel."""
    WEIGHT_LINES = auto()
    """Along what a row of weights is read: see `WeightLines`."""
    PANELS_AT = auto()
    """Elements before the rows of weights that are packed for a job, of which a group has WEIGHT_PANEL."""
    WEIGHT_PANEL = auto()
    """Elements from one panel of packed or transformed weights to the next; 0 where tasks pack their own."""
    WEIGHT_PRODUCT = auto()
    """Elements of one product of a panel of transformed weights."""
    # Winograd's tiles: how many there are, and how they lie when they are transformed.
    TILES_H = auto()
    TILES_W = auto()
    COLUMN_STEP = auto()
    """From one column of a tile to the next: the dilation. So many tiles begin side by side."""
    SUBKERNEL_TABLE = auto()
    """First row and column of the source that each sub-kernel sees."""
    SUBKERNEL_TAP_TABLE = auto()
    """The taps of each, or -1 where the kernel has none."""
    ROW_TERMS = auto()
    ROW_TERM_TABLE = auto()
    """(row of a tile's results, row tap, row of its source) of each term of the definition."""
    COLUMN_TERMS = auto()
    COLUMN_TERM_TABLE = auto()
    INSIDE_ALONE = auto()
    """1 where a position outside the source is no term: what is not there is no zero that meets a NaN."""
    TILES_BLOCK = auto()
    """Elements of a block of transformed tiles that tasks share; 0 where each task transforms its own."""
    TILE_PRODUCT = auto()
    TILE_PITCH = auto()
    SUM_PRODUCT = auto()
    SUM_PITCH = auto()
    SECOND_N = auto()
    SECOND_G = auto()
    SECOND_C = auto()
    SECOND_H = auto()
    SECOND_W = auto()
    SECOND_NEGATED = auto()
    # A thread's scratch, in bytes from its beginning; the table of offsets comes first.
    ROWS_AT = auto()
    SLAB_AT = auto()
    PANEL_AT = auto()
    BIAS_AT = auto()
    ADDRESSES_AT = auto()
    RESULTS_AT = auto()
    ZEROS_AT = auto()
    ADDRESSES = auto()
    """Addresses from the list of one tap to the next."""
    TILES_AT = auto()
    FLAGS_AT = auto()
    WEIGHTS_AT = auto()
    """Weights that a task transforms for itself, `CHANNEL_BLOCK` channels at a time; 0: they are shared."""
    TAPS_AT = auto()
    BYTES = auto()
    """Of each of two operands that are compared."""
    # Grad weight of streams: where the rows of the product are read, and in how many parts pixels are summed.
    STREAM_TABLE = auto()
    """Where each row of the product begins, in the source or its slab."""
    STREAM_N = auto()
    STREAM_H = auto()
    STREAM_W = auto()
    """From a result pixel to the next, in the source or its slab."""
    STREAM_PITCH = auto()
    """Elements from the packed streams of a register tile to the next; 0 where streams are not packed."""
    SLAB_COLUMNS = auto()
    SWAPPED = auto()
    """1 where streams are channels of the second operand, and those of the source fill registers."""
    PARTS = auto()
    """Of the pixels; their sums are added in order."""
    BLOCKS_A_PART = auto()
    SUMS = auto()
    """Elements of all tiles of a task."""
    SLICES = auto()
    """Tasks that add the parts of one task's sums."""
    DIRECT = auto()
    """1 where finished sums are written from registers."""
    AHEAD = auto()
    """1 where what the next block reads is fetched beforehand, by the list at AHEAD_AT."""
    AHEAD_AT = auto()
    PANEL_PITCH = auto()
    """Elements from one panel to the next."""
    PANEL_BASE = auto()
    """Where the panels of a job begin among the packed weights."""
    LENGTH = auto()
    """Not a word: how many there are."""


class StreamTap(IntEnum):
    """One entry of the tap table of grad weight of streams."""

    SHIFT = 0
    """Elements from where a result pixel's place in the source begins to the tap's."""
    TOP = auto()
    BOTTOM = auto()
    LEFT = auto()
    RIGHT = auto()
    """Result rows TOP to BOTTOM, columns LEFT to RIGHT: those that see the source through the tap."""
    LENGTH = auto()


class RowMode(IntEnum):
    """What stands for a row of the source that lies outside it."""

    ZEROS = 0
    REFLECT = auto()
    REPLICATE = auto()
    CIRCULAR = auto()


class WeightLines(IntEnum):
    """What lies side by side in a row of weights, or is walked one by one."""

    CHANNELS = 0
    """The channels of a tap."""
    TAPS = auto()
    """The taps of a channel."""
    BOTH = auto()
    """(channel, tap), all of them."""
    SCATTERED = auto()
    """Nothing but, perhaps, the rows."""


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


class TapPhase(IntEnum):
    """One entry of a phase table: the taps of every ROW_PHASES-th row, or COLUMN_PHASES-th column."""

    TAPS = 0
    POSITION = auto()
    """Slab position that its first tap reads for its first result."""
    FIRST = auto()
    """The weight's row, or column, of its first tap."""
    LENGTH = auto()


TABLE_HEADER = 8
"""Words before a thread's table of products: the job and the channels it was written for."""

LINE_BYTES = 64
"""Of a line of the caches."""
ADDRESS_BYTES = 8
AHEAD_HEAD_WORDS, AHEAD_ENTRY_WORDS = 1, 3
"""Of a thread's list of what is fetched ahead: see `kernels.ahead`."""

GOMP_PARALLEL = "GOMP_parallel"
"""The one function that generated code calls outside itself, besides memcpy and memset."""
