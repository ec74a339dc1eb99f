"""One spatial axis of a convolution, and of its two gradients."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from tatamu.geometry.padding import padded_source
from tatamu.geometry.receptive_field import ReceptiveField


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
    def left_over(self) -> int:
        """Padded pixels at the end that no window reaches, because the stride does not come out even."""
        return (self.padded - self.effective_kernel) % self.stride

    def reads(self, output: int, padding_mode: str = "zeros") -> tuple[int | None, ...]:
        """The pixel that each tap reads for one output position; None where it reads a zero."""
        first = output * self.stride - self.before
        return tuple(
            padded_source(first + tap * self.dilation, self.size, padding_mode) for tap in range(self.kernel)
        )

    def unread(self, padding_mode: str = "zeros") -> tuple[int, ...]:
        """The pixels that no output position reads, ascending.

        They lie in what is left over at the end, between the windows of a stride that is larger than the
        kernel, in the gaps of a dilation, or in what a negative padding crops.
        """
        read = {pixel for output in range(self.output) for pixel in self.reads(output, padding_mode)}
        return tuple(pixel for pixel in range(self.size) if pixel not in read)

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
        after = self.after - self.left_over
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
