"""One axis of a job: which source positions each result position sums over, padding included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tatamu.geometry import Axis, Phase, padded_source

_JOB_REGISTERS = 1
"""What a job of its own costs beside its products, as registers of results."""
_WORTH_CUTTING = 0.96
"""What must be left of the cost: jobs of their own for the edges of a large image take longer to plan."""


@dataclass(frozen=True)
class AxisTaps:
    """Taps along one axis, for results at positions 0 … ``grid`` - 1.

    Result p sums, for each tap (weight, offset), the source at ``p * stride + offset`` times that
    weight. ``listed`` replaces this rule at the positions it names: there tap t sums the source
    positions ``listed[p][t]`` (none, one, or, in gradients of padding, several). Results lie
    ``step`` apart in the target, beginning at ``first``.
    """

    taps: tuple[tuple[int, int], ...]
    stride: int
    grid: int
    size: int
    first: int = 0
    step: int = 1
    listed: dict[int, tuple[tuple[int, ...], ...]] = field(default_factory=dict)

    def inside(self, offset: int) -> tuple[int, int]:
        """The result positions [low, high) whose source through a tap is in the source and not listed."""
        low = max(0, -(offset // self.stride))
        high = min(self.grid, (self.size - 1 - offset) // self.stride + 1)
        for position in self.listed:
            if position < self.grid / 2:
                low = max(low, position + 1)
            else:
                high = min(high, position)
        return (low, high) if low < high else (0, 0)

    def sources(self, position: int, tap: int) -> tuple[int, ...]:
        """The source positions behind one result position and tap."""
        if position in self.listed:
            return self.listed[position][tap]
        at = position * self.stride + self.taps[tap][1]
        return (at,) if 0 <= at < self.size else ()


def segments(axis: AxisTaps) -> list[AxisTaps]:
    """The axis cut wherever a tap enters or leaves the source, each piece with the taps that it has."""
    if axis.listed:
        return [axis]
    insides = [axis.inside(offset) for _, offset in axis.taps]
    cuts = sorted({0, axis.grid, *(edge for low, high in insides if low < high for edge in (low, high))})
    pieces = []
    for begin, end in pairwise(cuts):
        taps = tuple(
            (weight, offset + begin * axis.stride)
            for (weight, offset), (low, high) in zip(axis.taps, insides, strict=True)
            if low <= begin and end <= high
        )
        first = axis.first + begin * axis.step
        pieces.append(AxisTaps(taps, axis.stride, end - begin, axis.size, first, axis.step))
    return pieces


def without_idle_taps(rows: AxisTaps, columns: AxisTaps, lanes: int) -> tuple[list[AxisTaps], list[AxisTaps]]:
    """Cut the axes where that saves more products with padding than it leaves registers half empty."""
    choices = [(r, c) for r in ([rows], segments(rows)) for c in ([columns], segments(columns))]

    def cost(choice: tuple[list[AxisTaps], list[AxisTaps]]) -> int:
        return sum(
            len(r.taps) * len(c.taps) * (-(-r.grid * c.grid // lanes) + _JOB_REGISTERS)
            for r in choice[0]
            for c in choice[1]
        )

    best = min(choices, key=cost)
    whole = choices[0]
    return best if cost(best) < _WORTH_CUTTING * cost(whole) else whole


def forward(axis: Axis, mode: str) -> AxisTaps:
    """The taps of the forward pass (and of grad weight, which reads the same positions)."""
    taps = tuple((k, k * axis.dilation - axis.before) for k in range(axis.kernel))
    plain = AxisTaps(taps, axis.stride, axis.output, axis.size)
    if mode == "zeros":
        return plain
    listed: dict[int, tuple[tuple[int, ...], ...]] = {}
    for p in range(axis.output):
        reads = [p * axis.stride + offset for _, offset in taps]
        if min(reads) < 0 or max(reads) >= axis.size:
            mapped = (padded_source(at, axis.size, mode) for at in reads)
            listed[p] = tuple(() if at is None else (at,) for at in mapped)
    return AxisTaps(taps, axis.stride, axis.output, axis.size, listed=listed)


def grad_input(axis: Axis, mode: str) -> Iterator[AxisTaps]:
    """The taps of each stride phase of grad input; the source is grad output."""
    for phase in axis.grad_input_phases:
        if mode == "zeros" or not (axis.before or axis.after):
            yield _phase_taps(axis, phase, phase.taps)
        else:
            yield _folded_phase(axis, phase, mode)


def _phase_taps(axis: Axis, phase: Phase, kernel: range) -> AxisTaps:
    grid = (axis.size - phase.first - 1) // axis.stride + 1
    taps = tuple((k, (phase.first + axis.before - axis.dilation * k) // axis.stride) for k in kernel)
    return AxisTaps(taps, 1, grid, axis.output, phase.first, axis.stride)


def _folded_phase(axis: Axis, phase: Phase, mode: str) -> AxisTaps:
    """A phase where padding repeated pixels: their gradient gathers that of every copy."""
    copies: dict[int, list[int]] = {}
    for q in range(-axis.before, axis.size + axis.after):
        if not 0 <= q < axis.size:
            pixel = padded_source(q, axis.size, mode)
            if pixel is not None:
                copies.setdefault(pixel, []).append(q)
    plain = _phase_taps(axis, phase, range(axis.kernel))
    listed: dict[int, tuple[tuple[int, ...], ...]] = {}
    for t in range(plain.grid):
        pixel = phase.first + t * axis.stride
        if pixel in copies:
            listed[t] = tuple(tuple(_reached(axis, k, [pixel, *copies[pixel]])) for k in range(axis.kernel))
    taps = plain.taps if listed else tuple(plain.taps[k] for k in phase.taps)
    if listed:
        # A tap outside the phase reaches no pixel but through a copy: it is listed everywhere.
        absent = [k for k in range(axis.kernel) if k not in phase.taps]
        for t in range(plain.grid) if absent else ():
            if t not in listed:
                listed[t] = tuple(
                    tuple(_reached(axis, k, [phase.first + t * axis.stride])) for k in range(axis.kernel)
                )
    return AxisTaps(taps, 1, plain.grid, axis.output, plain.first, plain.step, listed)


def _reached(axis: Axis, tap: int, positions: list[int]) -> Iterator[int]:
    """The outputs that read one of ``positions`` through ``tap``."""
    for q in positions:
        output, rest = divmod(q + axis.before - axis.dilation * tap, axis.stride)
        if rest == 0 and 0 <= output < axis.output:
            yield output
