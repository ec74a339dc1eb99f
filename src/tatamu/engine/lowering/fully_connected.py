"""A convolution whose kernel is as large as its image → the fully connected kernels."""

from __future__ import annotations

from tatamu.engine.kernels.descriptions import FullyConnectedGradientKernel, FullyConnectedKernel
from tatamu.engine.kernels.job import Word
from tatamu.engine.lowering.common import Lowered, Operand, grain
from tatamu.engine.spec import ElementType
from tatamu.engine.tables import Table, aligned
from tatamu.engine.target import Target
from tatamu.geometry import Axis, Geometry

_TASKS_WANTED = 8
_FEWEST_ROWS = 4
"""A register tile is of no use to fewer result channels in a group."""
_FEWEST_NUMBERS = 16
"""Nor are registers, to shorter lines."""


def fits(geometry: Geometry, element: ElementType, source: Operand, weight: Operand) -> bool:
    """Whether each result is one dot product of stretches of memory."""
    return geometry.out_channels // geometry.groups >= _FEWEST_ROWS and _match(
        geometry, element, source, weight
    )


def gradient_fits(geometry: Geometry, element: ElementType, lines: Operand, result: Operand) -> bool:
    """Whether the gradient of input or weight is a sum of multiples of ``lines``, weight or input."""
    count = geometry.in_channels // geometry.groups * geometry.rows.size * geometry.columns.size
    return count >= _FEWEST_NUMBERS and _match(geometry, element, lines, result)


def _match(geometry: Geometry, element: ElementType, one: Operand, other: Operand) -> bool:
    """Whether there is one result for each image and channel, from operands that have k in the same order."""
    if element.parts > 1 or not (_covers(geometry.rows) and _covers(geometry.columns)):
        return False
    size = geometry.in_channels // geometry.groups, geometry.rows.size, geometry.columns.size
    order = _order(size, one)
    return order is not None and order == _order(size, other)


def _covers(axis: Axis) -> bool:
    return (
        (axis.before, axis.after) == (0, 0)
        and axis.size == axis.effective_kernel
        and (axis.dilation == 1 or axis.kernel == 1)
    )


def _order(size: tuple[int, int, int], operand: Operand) -> list[int] | None:
    """The axes of channel, row and column that are longer than one, innermost first; None with gaps."""
    strides = operand.strides[1:]
    order = sorted((axis for axis in range(3) if size[axis] > 1), key=lambda axis: strides[axis])
    dense = 1
    for axis in order:
        if strides[axis] != dense:
            return None
        dense *= size[axis]
    return order


def lower_forward(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    weight: Operand,
    bias_stride: int | None,
    result: Operand,
) -> Lowered:
    """The forward pass of a layer that `fits`; arguments as `passes.lower_forward` has them."""
    kernel = FullyConnectedKernel(element)
    groups, images = geometry.groups, geometry.batch
    channels, m = geometry.in_channels // groups, geometry.out_channels // groups
    count = channels * geometry.rows.size * geometry.columns.size
    tiles = kernel.tiles(target)
    height, width = max(tiles.values()), max(tiles)
    m_blocks = min(-(-m // height), _TASKS_WANTED)
    m_block = -(-m // m_blocks // height) * height
    m_blocks = -(-m // m_block)
    wanted = max(1, _TASKS_WANTED // (m_blocks * groups))
    images_a_task = -(-images // wanted // width) * width
    blocks = -(-images // images_a_task)
    tasks = groups * m_blocks * blocks
    operations = images * groups * m * count
    table = Table(1)
    table.set_job(
        0,
        {
            Word.TASKS: tasks,
            Word.IMAGES: images,
            Word.IMAGES_A_TASK: images_a_task,
            Word.GROUPS: groups,
            Word.M_BLOCKS: m_blocks,
            Word.M_BLOCK: m_block,
            Word.CHANNELS: count,
            Word.M: m,
            Word.SOURCE_N: source.strides[0],
            Word.SOURCE_G: source.strides[1] * channels,
            Word.WEIGHT_G: weight.strides[0] * m,
            Word.WEIGHT_M: weight.strides[0],
            Word.TARGET_N: result.strides[0],
            Word.TARGET_G: result.strides[1] * m,
            Word.TARGET_C: result.strides[1],
            Word.HAS_BIAS: int(bias_stride is not None),
            Word.BIAS_C: bias_stride or 0,
        },
    )
    scratch = aligned(8)
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SCRATCH=scratch)
    reason = (
        f"fully connected: the kernel covers the image, so each of {m} results of a group is one dot product"
        f" of {count} numbers, read where they lie; {m_block} rows and {images_a_task} images a task"
    )
    return Lowered(kernel, table.words, 0, scratch, operations, reason)


def lower_grad_input(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    grad_output: Operand,
    weight: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the input of a layer that fits."""
    m = geometry.out_channels // geometry.groups
    n_step, c_step, *_ = grad_output.strides
    words = {
        Word.M: geometry.batch,
        Word.CHANNELS: m,
        Word.WEIGHT_G: c_step * m,
        Word.WEIGHT_M: n_step,
        Word.WEIGHT_C: c_step,
        Word.SOURCE_G: weight.strides[0] * m,
        Word.SOURCE_C: weight.strides[0],
        Word.TARGET_G: result.strides[1] * (geometry.in_channels // geometry.groups),
        Word.TARGET_C: result.strides[0],
    }
    return _lower_gradient(geometry, FullyConnectedGradientKernel(element, of_weight=False), target, words)


def lower_grad_weight(
    geometry: Geometry,
    element: ElementType,
    target: Target,
    source: Operand,
    grad_output: Operand,
    result: Operand,
) -> Lowered:
    """The gradient of the weight of a layer that fits; ``source`` is the input."""
    m = geometry.out_channels // geometry.groups
    n_step, c_step, *_ = grad_output.strides
    words = {
        Word.M: m,
        Word.CHANNELS: geometry.batch,
        Word.WEIGHT_G: c_step * m,
        Word.WEIGHT_M: c_step,
        Word.WEIGHT_C: n_step,
        Word.SOURCE_G: source.strides[1] * (geometry.in_channels // geometry.groups),
        Word.SOURCE_C: source.strides[0],
        Word.TARGET_G: result.strides[0] * m,
        Word.TARGET_C: result.strides[0],
    }
    return _lower_gradient(geometry, FullyConnectedGradientKernel(element, of_weight=True), target, words)


def _lower_gradient(
    geometry: Geometry, kernel: FullyConnectedGradientKernel, target: Target, words: dict[Word, int]
) -> Lowered:
    rows, products = words[Word.M], words[Word.CHANNELS]
    count = geometry.in_channels // geometry.groups * geometry.rows.size * geometry.columns.size
    tiles = kernel.tiles(target)
    height = max(tiles) if rows > 1 else 1
    width = max(tiles[height]) * target.lanes(kernel.element.compute_bytes)
    block = -(-count // min(_TASKS_WANTED, -(-count // width)) // width) * width
    blocks = -(-count // block)
    m_blocks = min(max(1, _TASKS_WANTED // (blocks * geometry.groups)), -(-rows // height))
    m_block = -(-rows // m_blocks // height) * height
    m_blocks = -(-rows // m_block)
    tasks = geometry.groups * blocks * m_blocks
    operations = geometry.groups * rows * products * count
    table = Table(1)
    words |= {
        Word.TASKS: tasks,
        Word.M_BLOCKS: m_blocks,
        Word.M_BLOCK: m_block,
        Word.BLOCKS: blocks,
        Word.BLOCK_W: block,
        Word.GRID_W: count,
    }
    table.set_job(0, words)
    scratch = aligned(8)
    table.set_header(JOBS=1, TASKS=tasks, GRAIN=grain(tasks, operations), SCRATCH=scratch)
    reason = (
        f"fully connected: the kernel covers the image, so the gradient is {rows} sums of {products} lines of"
        f" {count} numbers, read where they lie; {m_block} sums and {block} numbers a task"
    )
    return Lowered(kernel, table.words, 0, scratch, operations, reason)
