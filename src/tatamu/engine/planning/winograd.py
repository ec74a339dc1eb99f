"""Whether Winograd's filters pay for a layer, and in which blocks: a pure function.

Which filter, and whether it pays, is a question of the layer alone, not of the image and the batch, so a new
size compiles nothing. The costs are cycles of one core: multiply-adds at one register a cycle, transforms by
their instructions, traffic by the level of cache it comes from. docs/decisions/winograd.md compares them with
measurements.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

from tatamu.engine.planning.common import waiting
from tatamu.engine.spec import ElementType
from tatamu.engine.target import Target
from tatamu.engine.winograd_forms import Form, axis_forms, whole_form

INSTRUCTIONS_A_CYCLE = 2.5
_MOVING_INSTRUCTIONS_A_CYCLE = 0.85
"""Of the transforms of tiles, whose slabs are gathered before, and whose products all go to L2."""
_DIRECT_EFFICIENCY = 0.85
MULTIPLY_EFFICIENCY = 0.92
_NEAR_BYTES_A_CYCLE = 32
_FAR_BYTES_A_CYCLE = 10
_WRITE_BYTES_A_CYCLE = 6
_LEAST_TILES = 12
_MOST_TILES = 96
_MOST_ROWS = 12
_CHOICES = 4
"""Numbers of images that are weighed, the largest that fit."""
_MOST_SCRATCH = 4 << 20
_MOST_SHARED_TILES = 8
"""In sizes of L2: more would have to be read from memory."""
_PACKINGS = 0.5
"""How often a call is taken to transform shared weights: every one in training, none while they stay."""
_LEAST_GAIN = 1.15
"""Products that are left out, taps in the padding not counted: less does not pay for the transforms."""
# By how many units multiply whole registers: where products cost half, more of them must be left out.
_LEAST_USUAL_GAIN = {1: 1.05, 2: 1.25}
"""Products that are left out of an image as layers of so many channels have."""
_LEAST_DILATED_GAIN = {1: 1.15, 2: 1.5}
"""Cycles of the direct kernel, taps in the padding not counted, relative to those of a plan."""
_TRANSFORMING = {1: 1.0, 2: 0.6}
"""What transforms cost: two units also add faster."""
_TAP_CYCLES, _PRODUCT_CYCLES, _SUBKERNEL_PRODUCT_CYCLES = 6.0, 2.9, 6.4
"""Of a register of weights: what gathers a tap of it, and what computes and writes a product; of sub-kernels,
whose taps are looked up, more.
"""
_EXTENT_TIMES_CHANNELS = 3584
_EXTENTS = 7, 56
"""Images for which a layer's form is chosen: networks halve them as they double channels."""
_MOST_KERNEL_TAPS = 256
"""Those of a register of channels are gathered on the stack."""


@dataclass(frozen=True)
class WinogradWork:
    """A convolution as its tiles see it: ``m`` results from ``channels``, each of a group."""

    batch: int
    groups: int
    channels: int
    m: int
    grid: tuple[int, int]
    taps: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    """Of each axis. Results so far apart are those of a convolution without dilation, a phase."""
    inside: int
    """Pairs of a result and a tap that does not lie in zero padding, of each pair of channels in an image."""
    shift: tuple[int, int] | None = None
    """Of the gradient of a stride: see `AxisForm`."""

    @property
    def is_mostly_padding(self) -> bool:
        """Whether more taps lie in the padding than in the source."""
        pairs = math.prod(self.grid) * math.prod(self.taps)
        if self.shift is not None:  # Of the gradient of a stride: a pixel has the taps of one phase.
            pairs //= math.prod(self.stride)
        return 2 * self.inside < pairs

    @property
    def phases(self) -> int:
        """Phases of the rows: those of the columns are done together, tile by tile."""
        return min(self.dilation[0], self.grid[0])

    def tiles(self, outputs: tuple[int, int]) -> tuple[int, int]:
        """Rows of tiles of a phase, and tiles of a row: so many of each phase of the columns side by side."""
        mh, mw = outputs
        across = self.dilation[1]
        return -(-self.grid[0] // (self.dilation[0] * mh)), -(-self.grid[1] // (across * mw)) * across

    def products(self, form: Form) -> int:
        """Of an image, for each pair of channels."""
        return self.phases * math.prod(self.tiles(form.outputs)) * form.products * form.count


@dataclass(frozen=True)
class WinogradPlan:
    """Tiles of a form; a task does ``images`` x ``block`` of them and ``panels`` of channels."""

    form: Form
    rows: tuple[int, ...]
    vectors: int
    images: int
    block: tuple[int, int]
    panels: int
    channel_block: int
    """Source channels that are summed over at a time."""
    shared_tiles: bool
    """Whether a phase before transforms the tiles that several tasks multiply by weights of their own."""
    own_weights: bool
    """Whether tasks transform the weights that they multiply by, a block of channels at a time; else a phase
    before transforms all, which tasks share."""
    cycles: float
    reason: str


def plan_winograd(work: WinogradWork, element: ElementType, target: Target) -> WinogradPlan | str:
    """The cheapest plan, or why the direct kernel is to be taken."""
    lanes = target.lanes(element.compute_bytes)
    layer = replace(work, batch=1, grid=(1, 1), dilation=(1, 1), inside=0)
    form = _cheapest_form(layer, element, target)
    there, back = transforms(form)
    each = form.count * there * -(-work.channels // lanes) + back * -(-work.m // lanes)
    rows, _ = register_tile(1, target.registers)
    products_a_cycle = lanes * (2 if target.multiplies_pairs(element) else 1)
    tiles = rows[-1], _most_tiles(work, form, element, target)
    if obstacle := why_direct(work, form, lanes, products_a_cycle, each, tiles, target.wide_units):
        return obstacle
    if (gain := _usual_gain(layer, form)) < _LEAST_USUAL_GAIN[target.wide_units]:
        return f"{1 / gain:.0%} of the products, on images as such layers have: too few are left out"
    plan = min(_plans(work, form, element, target), key=lambda plan: plan.cycles)
    least = _LEAST_DILATED_GAIN[target.wide_units] * plan.cycles
    if max(work.dilation) > 1 and (direct := _direct_cycles(work, lanes)) < least:
        return f"estimated {plan.cycles / 1e6:.2f} million cycles against {direct / 1e6:.2f} directly"
    return plan


def forms(work: WinogradWork) -> list[Form]:
    """All that may serve a layer; a kernel that is the same along both axes is cut in the same way."""
    shifts = work.shift or (None, None)
    axes = list(zip(work.taps, work.stride, shifts, strict=True))
    rows, columns = (axis_forms(*axis) for axis in axes)
    if axes[0][:2] == axes[1][:2]:
        return [Form(down, across) for down, across in zip(rows, columns, strict=True)]
    return [Form(down, across) for down in rows for across in columns]


def single_form(taps: tuple[int, int]) -> Form:
    """Of stride 1, the kernel not cut."""
    return Form(whole_form(taps[0]), whole_form(taps[1]))


@functools.lru_cache(maxsize=256)
def _cheapest_form(layer: WinogradWork, element: ElementType, target: Target) -> Form:
    """For images as a layer of so many channels usually has; those of ``layer`` are not looked at."""
    found = forms(layer)
    if len(found) == 1:
        return found[0]
    extent = _usual_extent(layer)
    images = max(_EXTENTS[0], extent // 2), extent, 2 * extent

    def cycles(form: Form) -> float:
        total = 1.0  # A product: relative gains count.
        for size in images:
            down, across = (size * axis.outputs // axis.patches for axis in form.axes)
            work = replace(layer, grid=(down, across))
            total *= min(plan.cycles for plan in _plans(work, form, element, target))
        return total

    return min(found, key=cycles)


def _usual_extent(layer: WinogradWork) -> int:
    """Of the images that a layer of so many channels has in most networks."""
    least, most = _EXTENTS
    return max(least, min(most, _EXTENT_TIMES_CHANNELS // (layer.groups * max(layer.m, layer.channels))))


def _usual_gain(layer: WinogradWork, form: Form) -> float:
    """How many times the products of such an image the direct kernel multiplies."""
    extent = _usual_extent(layer)
    down, across = (extent * axis.outputs // axis.patches for axis in form.axes)
    taps = math.prod(layer.taps)
    if layer.shift is not None:  # A pixel of a gradient has the taps of one phase.
        taps = -(-taps // math.prod(layer.stride))
    return down * across * taps / replace(layer, grid=(down, across)).products(form)


def _direct_cycles(work: WinogradWork, lanes: int) -> float:
    products = work.batch * work.groups * work.inside * work.channels * -(-work.m // lanes)
    return products / _DIRECT_EFFICIENCY


def _weight_cycles(form: Form) -> float:
    """Of the weights of a register of result channels and one channel."""
    of_product = _PRODUCT_CYCLES if form.count == 1 else _SUBKERNEL_PRODUCT_CYCLES
    return _TAP_CYCLES * form.kernel_taps + of_product * form.products * form.count


def _most_tiles(work: WinogradWork, form: Form, element: ElementType, target: Target) -> int:
    """Of a task."""
    item = element.compute_bytes
    room = form.products * (form.count * work.channels + target.lanes(item)) * item
    return max(1, min(_MOST_TILES, _MOST_SCRATCH // room))


def why_direct(
    work: WinogradWork,
    form: Form,
    lanes: int,
    direct_lanes: int,
    transforming: float,
    tiles: tuple[int, int],
    units: int,
) -> str | None:
    """Why the direct kernel is to be taken: the layer's kernel, its channels, or an image of a few pixels.

    The direct kernel does ``direct_lanes`` products a cycle in each of ``units``. The transforms of a tile
    cost ``transforming`` cycles where there is one; ``tiles`` are the fewest and the most of a task.
    """
    products, directly = form.count * form.products, form.direct_products
    if products >= directly:
        (r, s), (down, across) = work.taps, work.stride
        return f"no filter for a kernel of {r} x {s}, stride {down} x {across}"
    transforming *= _TRANSFORMING[units]
    multiplying = products * work.channels * -(-work.m // lanes) / MULTIPLY_EFFICIENCY / units
    direct = directly * work.channels * work.m / direct_lanes / _DIRECT_EFFICIENCY / units
    if multiplying + transforming >= direct:
        return f"estimated {multiplying + transforming:.0f} cycles a tile against {direct:.0f} directly"
    if max(tiles[0], work.dilation[1]) > tiles[1] or form.kernel_taps > _MOST_KERNEL_TAPS:
        what = f"{work.channels} channels, {form.kernel_taps} taps, dilation {work.dilation[1]}"
        return f"tiles of {what}: too much memory for a task"
    return _why_not_image(work, form)


def _why_not_image(work: WinogradWork, form: Form) -> str | None:
    """Why the direct kernel is to be taken for these few pixels."""
    extents = [-(-size // step) for size, step in zip(work.grid, work.dilation, strict=True)]
    small = [
        -(-extent // (axis.outputs // axis.patches)) < axis.patches
        for extent, axis in zip(extents, form.axes, strict=True)
    ]
    if all(small):
        return f"{extents[0]} x {extents[1]} results do not fill a tile"
    padded = any(small) or any(step > 1 for step in work.dilation) or work.is_mostly_padding
    if padded and work.inside < _LEAST_GAIN * work.products(form):
        return f"{work.products(form)} products against {work.inside} directly: many taps lie in the padding"
    return None


def transforms(form: Form) -> tuple[float, float]:
    """Cycles of the transforms of a register of channels of a tile, there and back, with what moves them.

    Instructions are counted on F(4x4, 3x3): three passes over the products, and its own.
    """
    products, pixels = form.products, math.prod(form.outputs)
    there = (7 * products + 2 * pixels) / _MOVING_INSTRUCTIONS_A_CYCLE
    return there, (5 * products + 6 * pixels) / _MOVING_INSTRUCTIONS_A_CYCLE


def register_tile(vectors_wanted: int, registers: int) -> tuple[tuple[int, ...], int]:
    """Rows, the largest number first, and registers of a row that fill the register file."""
    vectors = min(2, vectors_wanted)
    if registers >= 32:
        return (12, 4), vectors
    return (6, 2), vectors


def evenly(size: int, most: int) -> list[int]:
    """Block sizes that cut ``size`` evenly, none above ``most``."""
    return sorted({-(-size // n) for n in range(1, size + 1) if -(-size // n) <= most})


def plans(work: WinogradWork, element: ElementType, target: Target) -> list[WinogradPlan]:
    """All forms: the best plan with weights transformed before, and the best whose tasks do it themselves."""
    useful = [form for form in forms(work) if form.count * form.products < form.direct_products]
    return [plan for form in useful for plan in _plans(work, form, element, target)]


def _plans(work: WinogradWork, form: Form, element: ElementType, target: Target) -> list[WinogradPlan]:
    ways = [(False, False), (True, False)]
    if work.phases == 1:  # What comes before knows one job alone.
        ways.append((True, True))
    return [_plan(work, form, element, target, own=own, tiles_first=first) for own, first in ways]


def _plan(
    work: WinogradWork, form: Form, element: ElementType, target: Target, *, own: bool, tiles_first: bool
) -> WinogradPlan:
    lanes, item = target.lanes(element.compute_bytes), element.compute_bytes
    registers = -(-work.m // lanes)
    rows, vectors = register_tile(registers, target.registers)
    panels = -(-registers // vectors)
    products, depth = form.products, form.count * work.channels
    tiles_h, tiles_w = work.tiles(form.outputs)
    weight_bytes = products * depth * panels * vectors * lanes * item
    there, back = transforms(form)
    transforming = registers * work.channels * _weight_cycles(form)
    shared = 0.0 if own else work.groups * (transforming + weight_bytes / _WRITE_BYTES_A_CYCLE) * _PACKINGS
    multiplying = products * depth * vectors / MULTIPLY_EFFICIENCY
    weight_rate = _NEAR_BYTES_A_CYCLE if weight_bytes < target.l2_bytes // 2 else _FAR_BYTES_A_CYCLE
    # What is transformed at a time is written and then read: it should stay in L2 beside the tiles.
    line_bytes = products * form.count * vectors * lanes * item
    most_channels = max(lanes, target.l2_bytes // 3 // line_bytes // lanes * lanes)
    # Shared weights are read channel after channel: in blocks they come from memory a third slower.
    channel_block = -(-evenly(work.channels, most_channels)[-1] // lanes) * lanes if own else work.channels

    def cycles(shape: tuple[int, int, int], split: int) -> float:
        images, block_h, block_w = shape
        tiles = images * block_h * block_w
        whole = -(-tiles // rows[-1]) * rows[-1]
        blocks = -(-work.batch // images) * work.phases * -(-tiles_h // block_h) * -(-tiles_w // block_w)
        blocks *= work.groups
        each = -(-panels // split)
        near = products * whole * depth * item
        if tiles_first and blocks * near > _MOST_SHARED_TILES * target.l2_bytes:
            return math.inf
        is_near = near < target.l2_bytes // 2 and not tiles_first
        rate = _NEAR_BYTES_A_CYCLE if is_near else _FAR_BYTES_A_CYCLE
        traffic = near * each / rate + (0 if own else weight_bytes / split / weight_rate)
        forth = tiles * form.count * -(-work.channels // lanes) * there
        moved = tiles * each * vectors * back + (transforming / split if own else 0)
        tasks = blocks * split
        once = shared
        if tiles_first:
            once += blocks * forth
        else:
            moved += forth
        return once + tasks * (multiplying * whole * each + 0.3 * traffic + moved) * waiting(tasks)

    splits = sorted({min(n, panels) for n in (1, 2, 4, 8)})
    most = _most_tiles(work, form, element, target)
    shapes = _shapes(work.batch, tiles_h, tiles_w, work.dilation[1], most)
    cost, shape, split = min((cycles(shape, split), shape, split) for shape in shapes for split in splits)
    each = -(-panels // split)
    whose = "weights transformed by each task" if own else "weights transformed beforehand"
    whose = f"tiles transformed beforehand, {whose}" if tiles_first else whose
    (mh, mw), (r, q) = form.outputs, (axis.taps for axis in form.axes)
    pieces = f" in {form.count} sub-kernels" if form.count > 1 else ""
    strides = f" of stride {work.stride[0]}x{work.stride[1]}" if max(work.stride) > 1 else ""
    reason = (
        f"winograd F({mh}x{mw}, {r}x{q}){strides}{pieces}: {products * form.count} products for"
        f" {form.direct_products}; blocks of {'x'.join(map(str, shape))}"
        f" tiles, {each * vectors * lanes} of {work.m} result channels a task; {whose}"
    )
    return WinogradPlan(
        form, rows, vectors, shape[0], shape[1:], each, channel_block, tiles_first, own, cost, reason
    )


def _shapes(batch: int, tiles_h: int, tiles_w: int, unit: int, most: int) -> list[tuple[int, int, int]]:
    """Images, rows and columns of tiles that a task may have: enough to be worth reading the weights for.

    Columns are multiples of ``unit``.
    """
    all_tiles = tiles_h * tiles_w
    if all_tiles * 2 <= most and batch > 1:
        return [(images, tiles_h, tiles_w) for images in evenly(batch, most // all_tiles)[-_CHOICES:]]
    least = min(all_tiles, most, _LEAST_TILES)
    widths = [width * unit for width in evenly(tiles_w // unit, max(1, most // unit))]
    shapes = [
        (1, block_h, block_w)
        for block_h in evenly(tiles_h, _MOST_ROWS)
        for block_w in widths
        if least <= block_h * block_w <= most
    ]
    return shapes or [(1, 1, widths[-1])]
