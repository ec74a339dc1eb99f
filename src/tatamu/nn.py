"""Conv2d, the layer."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tatamu import launch, validate
from tatamu.errors import TatamuError
from tatamu.functional import convolution
from tatamu.geometry import PaddingArgument, resolve_padding

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Conv2d", "LazyConv2d"]


class Conv2d(torch.nn.Conv2d):
    """`torch.nn.Conv2d` on kernels of its own; what takes, saves or asks for one of torch's takes this one.

    From (N, C, H, W) to (N, O, Ho, Wo), or from (C, H, W) to (O, Ho, Wo). Parameters start out bit for bit as
    torch's would with the same seed, and attributes changed after construction take effect at the next call.

    Args:
        padding: as in torch, or ((top, bottom), (left, right)) in pixels, or, with any stride, 'same_upper'
            (the 'same' of Keras, TensorFlow and JAX) or 'same_lower': ceil(size / stride) outputs; see
            `tatamu.conv2d`.

    Raises:
        TatamuError: a mistake in the arguments, now or at a call; `tatamu.errors` has a class for each, a
            subclass of what torch raises. An error at a call names the layer, with its path in the model that
            is running.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: PaddingArgument = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        validate.layer(in_channels, out_channels, kernel_size, stride, padding, groups, padding_mode)
        ours = _is_ours(padding)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            0 if ours else padding,  # type: ignore[arg-type]  # What is not ours is torch's, or fails as in torch.
            dilation,
            groups,
            bias,
            padding_mode,  # type: ignore[arg-type]  # `validate` has found it among torch's.
            device,
            dtype,
        )
        if ours:
            self.padding = padding  # type: ignore[assignment]  # torch's attribute is declared without them.
            self._set_reversed_padding(padding)

    def _set_reversed_padding(self, padding: PaddingArgument) -> None:
        """Set torch's attribute for code that pads before the layer: (left, right, top, bottom).

        With a stride, 'same_upper' and 'same_lower' depend on the input's size. Then there is no such
        attribute: code that asks for it stops, where wrong amounts would go unnoticed.
        """
        if isinstance(padding, str) and self.stride != (1, 1):
            del self._reversed_padding_repeated_twice
            return
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        rows, columns = resolve_padding(padding, (kh, kw), (1, 1), (dh, dw), (1, 1))
        self._reversed_padding_repeated_twice = [*columns, *rows]

    def train(self, mode: bool = True) -> Self:
        """As in torch; a layer that is to be trained is not frozen (`tatamu.freeze`) any more."""
        if mode:
            self._thaw()
        return super().train(mode)

    def _repr_html_(self) -> str:
        """The layer as a notebook shows it: its line, its parameters, and its picture on a small input."""
        from tatamu.drawing import example  # noqa: PLC0415 - few programs draw.

        weight_size = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        bias = self._parameters.get("bias") is not None
        return example.layer_html(
            repr(self),
            weight_size,
            bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.padding_mode,
        )

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._thaw()
        super()._load_from_state_dict(*arguments)

    def _thaw(self) -> None:
        weight = self._parameters.get("weight")  # None where a parametrization computes it.
        if weight is not None:
            launch.thaw(weight)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of a batch or a single image."""
        try:
            return self._conv_forward(input, self.weight, self.bias)
        except TatamuError as error:
            if not torch.compiler.is_compiling():
                error.locate(_described(self))
            raise

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Where torch's subclasses put other weights in."""
        padding: Any = self.padding  # torch declares it without ours.
        return convolution(
            input, weight, bias, self.stride, padding, self.dilation, self.groups, self.padding_mode
        )


class LazyConv2d(torch.nn.LazyConv2d, Conv2d):  # type: ignore[misc]  # torch's own bases disagree, too.
    """`torch.nn.LazyConv2d`: learns in_channels from its first input, and is a `Conv2d` from then on."""

    cls_to_become = Conv2d


def _is_ours(padding: object) -> bool:
    """Whether torch does not have such a padding."""
    if isinstance(padding, str):
        return padding not in ("valid", "same")
    return isinstance(padding, tuple | list) and any(isinstance(side, tuple | list) for side in padding)


def _described(layer: torch.nn.Module) -> str:
    """The layer, with its path in the outermost module that is now running and holds it."""
    # torch's compiler, where it is loaded, compiles what runs outside its graphs too, and cannot walk frames.
    compiling = "torch._dynamo" in sys.modules
    find = torch.compiler.disable(_path) if compiling else _path  # type: ignore[no-untyped-call]  # torch's.
    path = find(layer)
    return f"layer {path!r}, {layer}" if path else f"layer {layer}"


def _path(layer: torch.nn.Module) -> str:
    path = ""
    frame = inspect.currentframe()
    while frame is not None:
        module = frame.f_locals.get("self")
        if isinstance(module, torch.nn.Module) and module is not layer:
            path = next((name for name, held in module.named_modules() if held is layer), path)
        frame = frame.f_back
    return path
