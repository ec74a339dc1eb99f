"""Which source positions a result position sums over, along one axis. All scalars but positions.

Output p reads, through tap k, the position p·stride + k·dilation - before of the padded axis. A gradient of
the input goes the other way: its pixels of one *phase* (x modulo the stride) are read through every
(stride / g)-th tap from a first one on, so that each phase is a convolution of stride 1 without inserted
zeros. Where padding repeats pixels, a pixel collects the gradient of all its *images*: itself, and the places
in the padding that it was copied to, each an affine function of the pixel.
"""

import triton
import triton.language as tl


@triton.jit
def reach(axis, phase, sign, shift, backward: tl.constexpr):
    """How one phase of the result, seen in one image, meets its source.

    Result position t (of this phase) meets, through its tap number i, the source position
    base + slope·t + i·step, and the weight's tap first + i·tap_step.

    Returns:
        base, slope, step, first, tap_step, taps: the last is how many taps there are.
    """
    if backward:
        edge = sign * phase + shift + axis.before
        rest = (edge % axis.stride + axis.stride) % axis.stride
        tap_step = axis.stride // axis.common
        first = (rest // axis.common * axis.inverse) % tap_step
        taps = tl.where(rest % axis.common == 0, (axis.taps - first + tap_step - 1) // tap_step, 0)
        base = (edge - axis.dilation * first) // axis.stride
        return base, sign, -(axis.dilation // axis.common), first, tap_step, tl.maximum(taps, 0)
    return -axis.before, axis.stride, axis.dilation, 0, 1, axis.taps


@triton.jit
def image(axis, number, mode: tl.constexpr):
    """The image of that number of each pixel x: at sign·x + shift, for lowest <= x <= highest.

    Number 0 is the pixel itself. 'reflect' and 'circular' have one in the padding before and one in that
    after; 'replicate' has one for every place of the padding, of the first or the last pixel.
    """
    last = axis.size - 1
    itself, ahead = number == 0, number == 1
    if mode == "reflect":
        sign = tl.where(itself, 1, -1)
        shift = tl.where(itself | ahead, 0, 2 * last)
        lowest = tl.where(itself, 0, tl.where(ahead, 1, last - axis.after))
        highest = tl.where(itself, last, tl.where(ahead, axis.before, last - 1))
    elif mode == "circular":
        sign = tl.where(itself, 1, 1)
        shift = tl.where(itself, 0, tl.where(ahead, -axis.size, axis.size))
        lowest = tl.where(itself | (number == 2), 0, axis.size - axis.before)
        highest = tl.where(itself | ahead, last, axis.after - 1)
    else:
        beginning = number <= axis.before
        sign = tl.where(itself, 1, 0)
        shift = tl.where(beginning, -number, last + number - axis.before)
        lowest = tl.where(beginning, 0, last)
        highest = tl.where(beginning & (number > 0), 0, last)
    return sign, shift, lowest, highest


@triton.jit
def padded(position, size, mode: tl.constexpr):
    """The pixel that a position of the padded axis holds; with zeros, the position itself."""
    if mode == "reflect":
        position = tl.abs(position)
        return tl.minimum(position, 2 * (size - 1) - position)
    if mode == "replicate":
        return tl.minimum(tl.maximum(position, 0), size - 1)
    if mode == "circular":
        return position + tl.where(position < 0, size, tl.where(position >= size, -size, 0))
    return position


@triton.jit
def inside(position, size):
    """Whether a position is a pixel."""
    return (position >= 0) & (position < size)


@triton.jit
def positions(results, phases, phase):
    """How many result positions one phase has."""
    return (results - phase + phases - 1) // phases
