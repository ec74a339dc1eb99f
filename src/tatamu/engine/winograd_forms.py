"""How Winograd's filters compute a kernel: tiles, and sub-kernels whose products are summed.

Along an axis a kernel is cut into sub-kernels of as many taps as a filter has; the source as a sub-kernel
sees it begins somewhat further and may leave out pixels. Transformed, all of them are channels of one sum, so
the result is transformed back once. A stride is dealt with in one of two ways: each of its phases has
sub-kernels of its own, which see every stride-th pixel, or one filter is made of a filter for each phase,
side by side.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tatamu.engine.cook_toom import Filtering

MISSING = -1
"""A tap of a sub-kernel that the kernel has not."""


@dataclass(frozen=True)
class AxisForm:
    """Along one axis: tiles of ``outputs`` results, sub-kernels of ``taps`` taps."""

    kernel: int
    stride: int
    outputs: int
    taps: int
    phased: bool = False
    """Whether each phase of the stride has sub-kernels of its own."""
    shift: int | None = None
    """Of the gradient of a stride: padded positions that lie before the first result's patch."""

    @property
    def filtering(self) -> Filtering:
        """The matrices. Exact numbers are imported when something is compiled."""
        from tatamu.engine import cook_toom  # noqa: PLC0415  # See above.

        if self.shift is not None:
            return cook_toom.expanding(self.patches, self.taps, self.stride, self.shift)
        return cook_toom.strided(self.outputs, self.taps, 1 if self.phased else self.stride)

    @property
    def step(self) -> int:
        """From one input of a tile to the next, in pixels of the source."""
        return self.stride if self.phased else 1

    @property
    def patches(self) -> int:
        """Results of a tile, or of each phase of them where a stride's gradient is computed."""
        return self.outputs if self.shift is None else self.outputs // self.stride

    @property
    def advance(self) -> int:
        """Pixels of the source from one tile to the next."""
        return self.outputs * self.stride if self.shift is None else self.patches

    @property
    def products(self) -> int:
        """Of a tile of one sub-kernel."""
        phases = 1 if self.phased else self.stride
        taps = (len(range(phase, self.taps, phases)) for phase in range(min(phases, self.taps)))
        return sum(self.patches + of_phase - 1 for of_phase in taps)

    @property
    def terms(self) -> list[tuple[int, int, int]]:
        """(result, tap, pixel) of each term of a tile's results; pixels count from the tile's first."""
        if self.shift is None:
            size = range(self.outputs), range(self.kernel)
            return [(i, k, i * self.stride + k) for i, k in itertools.product(*size)]
        places = [
            (i, k, (i + self.shift) // self.stride - k // self.stride)
            for i in range(self.outputs)
            for k in range((i + self.shift) % self.stride, self.kernel, self.stride)
        ]
        return [(i, k, place - self.first) for i, k, place in places]

    @property
    def first(self) -> int:
        """The first pixel that a tile reads; 0 is that of the first phase, tap and patch."""
        if self.shift is None:
            return 0
        firsts = (
            (phase < self.shift) - (len(range(phase, self.taps, self.stride)) - 1)
            for phase in range(min(self.stride, self.taps))
        )
        return min(firsts)

    @property
    def subkernels(self) -> list[tuple[int, tuple[int, ...]]]:
        """(first pixel, taps) of each."""
        found = []
        phases = self.stride if self.phased else 1
        for phase in range(min(phases, self.kernel)):
            taps = range(phase, self.kernel, phases)
            for begin in range(0, len(taps), self.taps):
                chosen = tuple(taps[begin : begin + self.taps])
                missing = (MISSING,) * (self.taps - len(chosen))
                found.append((phase + begin * phases, chosen + missing))
        return found

    @property
    def inputs(self) -> int:
        """Of a tile of one sub-kernel."""
        if self.phased:
            return self.outputs + self.taps - 1
        if self.shift is None:
            return (self.outputs - 1) * self.stride + self.taps
        return self.patches + int(self.shift > 0) - self.first

    @property
    def span(self) -> int:
        """Pixels from the first that a tile reads to the last, both included."""
        return max(begin for begin, _ in self.subkernels) + (self.inputs - 1) * self.step + 1


@dataclass(frozen=True)
class Form:
    """Of both axes."""

    rows: AxisForm
    columns: AxisForm

    @property
    def axes(self) -> tuple[AxisForm, AxisForm]:
        """Rows, columns."""
        return self.rows, self.columns

    @property
    def filters(self) -> tuple[Filtering, Filtering]:
        """Of the rows and of the columns."""
        return self.rows.filtering, self.columns.filtering

    @property
    def outputs(self) -> tuple[int, int]:
        """Rows and columns of results of a tile."""
        return self.rows.outputs, self.columns.outputs

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the whole kernel."""
        return self.rows.kernel, self.columns.kernel

    @property
    def kernel_taps(self) -> int:
        """Of the whole kernel."""
        return math.prod(self.kernel)

    @property
    def products(self) -> int:
        """Of a tile of one sub-kernel, for each pair of channels."""
        return self.rows.products * self.columns.products

    @property
    def count(self) -> int:
        """Of sub-kernels."""
        return len(self.rows.subkernels) * len(self.columns.subkernels)

    @property
    def direct_products(self) -> int:
        """What the definition has for a tile."""
        return len(self.rows.terms) * len(self.columns.terms)

    def subkernels(self) -> list[tuple[int, int, list[int]]]:
        """(first row, first column, taps) of each; taps are numbered through the whole kernel."""
        width = self.columns.kernel
        return [
            (y, x, [i * width + j if MISSING not in (i, j) else MISSING for i in down for j in across])
            for y, down in self.rows.subkernels
            for x, across in self.columns.subkernels
        ]

    @property
    def name(self) -> str:
        """All that tells it from others."""
        return "_".join(f"{axis.outputs}k{axis.kernel}" + _more(axis) for axis in self.axes)


def _more(axis: AxisForm) -> str:
    taps = f"t{axis.taps}" if axis.taps != axis.kernel else ""
    stride = f"s{axis.stride}{'p' if axis.phased else ''}" if axis.stride > 1 else ""
    return taps + stride + ("" if axis.shift is None else f"e{axis.shift}")


_POINTS = 5
"""Besides infinity. Seven cost more accuracy on data of very different sizes than is promised."""
_STRIDED_OUTPUTS = (2, 4)
_MOST_PRODUCTS = 9
"""Of an axis: more are more code than transforms of tiles are worth."""


def whole_form(kernel: int) -> AxisForm:
    """Of a kernel of stride 1 that is not cut: as many results as the points give; 1 with nothing to gain."""
    outputs = _POINTS + 2 - kernel if 1 < kernel <= _POINTS else 1
    return AxisForm(kernel, 1, outputs, kernel)


def axis_forms(kernel: int, stride: int, shift: int | None = None) -> list[AxisForm]:
    """All that may serve, in the forward pass; with a ``shift``, in the gradient of a stride."""
    results = 1 if shift is None else stride
    whole = [AxisForm(kernel, stride, m * results, kernel, shift=shift) for m in (1, *_STRIDED_OUTPUTS)]
    nothing, *strided = whole
    of_phase = -(-kernel // stride)
    if of_phase == 1:
        return [nothing]
    strided = [
        form for form in strided if form.patches + of_phase - 2 <= _POINTS and form.products <= _MOST_PRODUCTS
    ]
    if shift is not None:
        return strided or [nothing]
    if stride == 1 and kernel <= _POINTS:
        return [whole_form(kernel)]
    cut = [
        AxisForm(kernel, stride, _POINTS + 2 - taps, taps, phased=stride > 1)
        for taps in range(2, min(of_phase, _POINTS) + 1)
    ]
    return cut + (strided if stride > 1 else [])
