"""One pass of one convolution, its operands, and how a `conv2d` computes it.

Every call goes the way a user's does: the forward pass through `conv2d`, under `no_grad`; the gradients
through `torch.autograd.grad`, each alone, on a graph recorded beforehand. Everyone then pays for the same
autograd engine, and tatamu also for its own part of it, which is Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tatamu.geometry import Geometry

PASSES = ("forward", "grad_input", "grad_weight")
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = {
    "f32": torch.float32,
    "bf16": torch.bfloat16,
    "f16": torch.float16,
    "f64": torch.float64,
    "c64": torch.complex64,
    "c128": torch.complex128,
}


class Pass(Protocol):
    """What is measured in one go; as text, as an error names it."""

    @property
    def direction(self) -> str:
        """One of `PASSES`."""

    @property
    def dtype(self) -> torch.dtype:
        """Of all operands and of the result."""

    @property
    def geometry(self) -> Geometry:
        """All of its sizes."""

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What a `conv2d` takes after input and weight: bias, stride, padding, dilation, groups."""


@dataclass(frozen=True)
class Operands:
    """Input, weight and the gradient of the output, with few different images in the batch.

    Attributes:
        pattern: which of the different images stands at each place of the batch; (batch,), integers.
        images, grads: the different ones.
    """

    weight: Tensor
    pattern: Tensor
    images: Tensor
    grads: Tensor

    @property
    def input(self) -> Tensor:
        """The whole batch, (N, C, H, W)."""
        return self.images[self.pattern]

    @property
    def grad_output(self) -> Tensor:
        """The whole batch, (N, O, Ho, Wo)."""
        return self.grads[self.pattern]


def operands(case: Pass, seed: int) -> Operands:
    """Normally distributed operands, of the case's dtype.

    Two different images, in the order 0 1 1 0 1 0 0 1 … (Thue and Morse: it has no period, so a batch that is
    read with a wrong step is noticed): the judge computes two, and still every element is judged.
    """
    geometry = case.geometry
    generator = torch.Generator().manual_seed(seed)
    different = min(geometry.batch, 2)

    def normal(*size: int) -> Tensor:
        drawn = torch.float32 if case.dtype in {torch.float16, torch.bfloat16} else case.dtype
        return torch.randn(size, generator=generator, dtype=drawn).to(case.dtype)

    return Operands(
        weight=normal(*geometry.weight_size),
        pattern=torch.tensor([place.bit_count() % 2 for place in range(geometry.batch)]),
        images=normal(different, *geometry.input_size[1:]),
        grads=normal(different, *geometry.output_size[1:]),
    )


def prepare(
    case: Pass, conv2d: Callable[..., Tensor], x: Tensor, w: Tensor, gy: Tensor
) -> Callable[[], Tensor]:
    """The call that computes the case's pass with a `conv2d`; a graph it needs is recorded now."""
    arguments = case.arguments
    if case.direction == "forward":

        def forward() -> Tensor:
            with torch.no_grad():
                return conv2d(x, w, *arguments)

        return forward
    x, w = x.detach(), w.detach()  # Tensors of its own, on the same memory: only one is to be differentiated.
    wanted = (x if case.direction == "grad_input" else w).requires_grad_()
    y = conv2d(x, w, *arguments)

    def backward() -> Tensor:
        return torch.autograd.grad(y, wanted, gy, retain_graph=True)[0]

    return backward


def by_torch(geometry: Geometry) -> Callable[..., Tensor]:
    """torch's own convolution, to be measured against and to judge by; it takes what `prepare` passes.

    Padding that its function does not have (another mode, or different on two sides) it does before, as
    torch's layer does.
    """
    (top, bottom), (left, right) = geometry.padding
    if geometry.padding_mode == "zeros" and top == bottom and left == right:
        return torch.nn.functional.conv2d
    mode = "constant" if geometry.padding_mode == "zeros" else geometry.padding_mode

    def padded(x: Tensor, w: Tensor, *_: Any) -> Tensor:
        x = torch.nn.functional.pad(x, (left, right, top, bottom), mode=mode)
        it = geometry.convolution
        return torch.nn.functional.conv2d(x, w, None, it.stride, 0, it.dilation, it.groups)

    return padded


def reduction(case: Pass) -> int:
    """Products summed into one element of the result, at most."""
    geometry = case.geometry
    outputs, _, kernel_height, kernel_width = geometry.weight_size
    _, _, height, width = geometry.output_size
    return {
        "forward": geometry.reduction,
        "grad_input": outputs // geometry.groups * kernel_height * kernel_width,
        "grad_weight": geometry.batch * height * width,
    }[case.direction]
