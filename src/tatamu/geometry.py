"""The arithmetic of 2-D convolution in plain integers.

Everything that follows from sizes alone is here and nowhere else: padding amounts, output size, work,
traffic, receptive field, and the shape of the two gradients. Nothing here validates: impossible arguments
give meaningless numbers, and the callers that take arguments from a user check them first.

Sizes may be symbolic integers (as torch's fake tensors have them). `Geometry.of`, `Geometry.output_size` and
what they use are plain arithmetic: no hashing, no comparison, no branch on a size.

One axis of a convolution, throughout, in torch's convention (a cross-correlation: the kernel is not flipped):
    y[p] = sum over k of w[k] · x[p·stride + k·dilation - before]
where a position of x outside 0 … size - 1 is padding. Source of the size formulas: Dumoulin and Visin, "A
guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd, prod

Padding = tuple[tuple[int, int], tuple[int, int]]
"""((top, bottom), (left, right)), in pixels."""

PaddingArgument = int | str | tuple[int, int] | Padding
"""What a user may pass as `padding`; see `resolve_padding`."""

PADDING_STRINGS = ("valid", "same", "same_upper", "same_lower")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Convolution:
    """The arguments of a convolution that are not tensors, resolved. Pairs are (height, width)."""

    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution. `before` and `after` are the padding; all but `kernel` in pixels."""

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def effective_kernel(self) -> int:
        """Pixels from the first tap to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        """Pixels with the padding on both sides."""
        return self.size + self.before + self.after

    @property
    def output(self) -> int:
        """Number of output positions: those where the whole effective kernel lies in the padded input."""
        return (self.padded - self.effective_kernel) // self.stride + 1

    @property
    def receptive_field(self) -> ReceptiveField:
        """What one output position of this layer alone sees of its input."""
        return ReceptiveField().then(self)

    @property
    def formula(self) -> str:
        """The output size as torch documents it, with the numbers filled in."""
        total = f"{self.size} + {self.before} + {self.after} - {self.dilation}·({self.kernel} - 1) - 1"
        return f"floor(({total}) / {self.stride}) + 1 = {self.output}"

    @property
    def grad_input_phases(self) -> tuple[Phase, ...]:
        """The gradient of the input as `stride` interleaved convolutions of stride 1, with no zeros inserted.

        It is the gradient for zero padding. For the other padding modes take the phases of the padded axis,
        `Axis(padded, kernel, stride, dilation)`, and add each padded position to the pixel it was read from.
        """
        return tuple(self._phase(first) for first in range(min(self.stride, self.size)))

    @property
    def grad_weight(self) -> Axis:
        """The gradient of the weight as a convolution of the input, with grad output in the kernel's place.

        Stride and dilation change roles, and `output` is the number of taps. `after` is what the forward pass
        read: where its stride left pixels over at the end, it is smaller than the padding, and may be
        negative (a crop).
        """
        last = self.stride * (self.output - 1) + self.effective_kernel
        after = last - self.size - self.before
        return Axis(self.size, self.output, self.dilation, self.stride, self.before, after)

    def _phase(self, first: int) -> Phase:
        # Pixel first + stride·t is read for y[p] through tap k where
        # first + before + stride·t = stride·p + dilation·k.
        quotient, remainder = divmod(first + self.before, self.stride)
        common = gcd(self.stride, self.dilation)
        reaching = [k for k in range(self.kernel) if (k * self.dilation - remainder) % self.stride == 0]
        taps = range(reaching[0], self.kernel, self.stride // common) if reaching else range(0)
        positions = (self.size - first - 1) // self.stride + 1
        # Tap k sits `shift` outputs back; the taps of one phase are `dilation / common` outputs apart.
        dilation = self.dilation // common
        shift = (taps[0] * self.dilation - remainder) // self.stride if taps else 0
        before = shift + dilation * (len(taps) - 1) - quotient
        after = positions - self.output - before + dilation * (len(taps) - 1)
        return Phase(first, taps, Axis(self.output, len(taps), 1, dilation, before, after))


@dataclass(frozen=True)
class Phase:
    """One of the interleaved parts of the gradient of an input along one axis.

    Attributes:
        first: the input positions of this part are first, first + stride, first + 2·stride, …
        taps: the forward kernel's taps that reach these positions, ascending. The gradient uses them in
            descending order (the kernel flipped). Empty where the stride steps over positions: the gradient
            there is zero.
        axis: the convolution of grad output with those taps. `size` is the size of grad output, `output` the
            number of positions of this part; `before` and `after` count zeros, and are negative where grad
            output is cropped.
    """

    first: int
    taps: range
    axis: Axis


@dataclass(frozen=True)
class ReceptiveField:
    """What one position of a feature map sees of the network's input, along one axis, in input pixels.

    Position p sees the `size` pixels from `start + p·jump` on; those outside the input are padding. Source:
    Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019. The
    default is the input itself: each position sees itself.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    @property
    def centre(self) -> float:
        """The middle of what position 0 sees; between two pixels where `size` is even."""
        return self.start + (self.size - 1) / 2

    def then(self, axis: Axis) -> ReceptiveField:
        """The receptive field after one more layer, by its kernel, stride, dilation and `before`."""
        return ReceptiveField(
            size=self.size + (axis.effective_kernel - 1) * self.jump,
            jump=self.jump * axis.stride,
            start=self.start - axis.before * self.jump,
        )

    @staticmethod
    def through(axes: Iterable[Axis]) -> ReceptiveField:
        """The receptive field of a chain of layers, first layer first."""
        field = ReceptiveField()
        for axis in axes:
            field = field.then(axis)
        return field


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


def resolve_padding(
    padding: PaddingArgument,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    input_hw: tuple[int, int],
) -> Padding:
    """The padding amounts that a padding argument stands for; all pairs are (height, width).

    `padding` is an int for all four sides, (h, w) for both sides of each axis, ((top, bottom), (left,
    right)), or

    - 'valid': none;
    - 'same': dilation·(kernel - 1) in total, the odd one at the bottom or right (torch's rule, for stride 1);
    - 'same_upper', 'same_lower': just enough for an output of ceil(input / stride), the odd one at the end
      ('same' of Keras, TensorFlow and JAX, SAME_UPPER of ONNX) or at the beginning (SAME_LOWER).

    Raises:
        ValueError: another string.
    """
    if isinstance(padding, str):
        rows, columns = (
            _named_padding(padding, kernel_size[i], stride[i], dilation[i], input_hw[i]) for i in (0, 1)
        )
        return rows, columns
    if not isinstance(padding, tuple):
        return (padding, padding), (padding, padding)
    height, width = padding
    return (
        height if isinstance(height, tuple) else (height, height),
        width if isinstance(width, tuple) else (width, width),
    )


def _named_padding(name: str, kernel: int, stride: int, dilation: int, size: int) -> tuple[int, int]:
    span = dilation * (kernel - 1)
    if name == "valid":
        return 0, 0
    if name == "same":
        return span // 2, span - span // 2
    if name in ("same_upper", "same_lower"):
        # (ceil(size / stride) - 1)·stride + span + 1 - size, written so that the size occurs once. Only
        # kernels smaller than the stride compare it; one that spans a single pixel needs no padding.
        total = span - (size - 1) % stride if span > 0 else 0
        if 0 < span < stride - 1:
            total = max(0, total)
        smaller, larger = total // 2, total - total // 2
        return (smaller, larger) if name == "same_upper" else (larger, smaller)
    raise ValueError(
        f"Invalid padding string {name!r}, should be one of {', '.join(map(repr, PADDING_STRINGS))}"
    )
