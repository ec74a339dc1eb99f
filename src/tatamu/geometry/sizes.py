"""Both axes of a convolution, with its channels and its batch: all of its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tatamu.geometry.axis import Axis, Phase
from tatamu.geometry.padding import Padding
from tatamu.geometry.receptive_field import ReceptiveField


@dataclass(frozen=True)
class Convolution:
    """The arguments of a convolution that are not tensors, resolved. Pairs are (height, width)."""

    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"


@dataclass(frozen=True)
class Geometry:
    """A convolution's sizes: everything but the numbers in its tensors.

    `in_channels` and `out_channels` count all groups together; `rows` is the vertical axis, `columns` the
    horizontal.
    """

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    rows: Axis
    columns: Axis
    padding_mode: str = "zeros"

    @staticmethod
    def of(
        input_size: tuple[int, int, int, int],
        weight_size: tuple[int, int, int, int],
        convolution: Convolution,
    ) -> Geometry:
        """The geometry of `convolution` on an input (N, C, H, W) with a weight (O, C / groups, kh, kw)."""
        batch, in_channels, *size = input_size
        out_channels, _, *kernel = weight_size
        rows, columns = (
            Axis(size[i], kernel[i], convolution.stride[i], convolution.dilation[i], *convolution.padding[i])
            for i in (0, 1)
        )
        return Geometry(
            batch, in_channels, out_channels, convolution.groups, rows, columns, convolution.padding_mode
        )

    @property
    def convolution(self) -> Convolution:
        """The arguments this geometry was made with."""
        rows, columns = self.rows, self.columns
        return Convolution(
            (rows.stride, columns.stride),
            self.padding,
            (rows.dilation, columns.dilation),
            self.groups,
            self.padding_mode,
        )

    @property
    def padding(self) -> Padding:
        """The padding amounts ((top, bottom), (left, right))."""
        return (self.rows.before, self.rows.after), (self.columns.before, self.columns.after)

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Taps (kh, kw)."""
        return self.rows.kernel, self.columns.kernel

    @property
    def effective_kernel(self) -> tuple[int, int]:
        """The kernel's extent with its dilation, in pixels (height, width)."""
        return self.rows.effective_kernel, self.columns.effective_kernel

    @property
    def input_size(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return self.batch, self.in_channels, self.rows.size, self.columns.size

    @property
    def weight_size(self) -> tuple[int, int, int, int]:
        """(O, C / groups, kh, kw)."""
        return self.out_channels, self.in_channels // self.groups, self.rows.kernel, self.columns.kernel

    @property
    def output_size(self) -> tuple[int, int, int, int]:
        """(N, O, Ho, Wo)."""
        return self.batch, self.out_channels, self.rows.output, self.columns.output

    @property
    def reduction(self) -> int:
        """Products summed into one element of the output."""
        return prod(self.weight_size[1:])

    @property
    def macs(self) -> int:
        """Multiply-adds of the forward pass. Products with padding count, the bias does not."""
        return prod(self.output_size) * self.reduction

    def parameters(self, bias: bool) -> int:
        """Number of trainable values, the bias included if there is one."""
        return prod(self.weight_size) + (self.out_channels if bias else 0)

    def bytes_moved(self, item_size: int, bias: bool) -> int:
        """Least traffic of the forward pass: input and parameters read once, output written once.

        `item_size` is the size of one element in bytes.
        """
        return item_size * (prod(self.input_size) + self.parameters(bias) + prod(self.output_size))

    @property
    def receptive_field(self) -> tuple[ReceptiveField, ReceptiveField]:
        """What one output position of this layer sees of its input: (vertical, horizontal)."""
        return self.rows.receptive_field, self.columns.receptive_field

    @property
    def unread(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The rows and the columns of the input that no output position reads, ascending."""
        return self.rows.unread(self.padding_mode), self.columns.unread(self.padding_mode)

    @property
    def formula(self) -> str:
        """How the output size comes about, one line for each axis."""
        return f"height: {self.rows.formula}\nwidth: {self.columns.formula}"

    @property
    def grad_input_phases(self) -> tuple[tuple[Phase, Phase], ...]:
        """The gradient of the input as independent stride-1 convolutions: (rows, columns) of each.

        See `Axis.grad_input_phases`. Channels are swapped: each reduces over out_channels / groups.
        """
        columns = self.columns.grad_input_phases
        return tuple((row, column) for row in self.rows.grad_input_phases for column in columns)

    @property
    def grad_input_macs(self) -> int:
        """Multiply-adds of the gradient of the input, computed by phases, for zero padding."""
        taps = sum(
            row.axis.output * len(row.taps) * column.axis.output * len(column.taps)
            for row, column in self.grad_input_phases
        )
        return self.batch * self.in_channels * (self.out_channels // self.groups) * taps

    @property
    def grad_weight(self) -> tuple[Axis, Axis]:
        """The gradient of the weight as a convolution: (rows, columns). See `Axis.grad_weight`.

        Its multiply-adds are `macs`: each product of the forward pass, once.
        """
        return self.rows.grad_weight, self.columns.grad_weight

    @property
    def grad_weight_reduction(self) -> int:
        """Products summed into one element of the gradient of the weight."""
        return self.batch * self.rows.output * self.columns.output
