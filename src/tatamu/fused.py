"""The layer that `tatamu.freeze` makes: a convolution with what followed it in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad, profiler
from torch.overrides import has_torch_function_variadic

from tatamu import launch, precision, validate
from tatamu.autograd import eager, operands, profiling
from tatamu.errors import FrozenLoadError, FrozenTrainingError, TatamuError
from tatamu.nn import Conv2d

__all__ = ["FusedConv2d"]

ACTIVATIONS: dict[str, tuple[str, Callable[..., Tensor] | None]] = {
    "none": ("", None),
    "relu": ("ReLU", torch.nn.functional.relu),
    "relu6": ("ReLU6", torch.nn.functional.relu6),
    "silu": ("SiLU", torch.nn.functional.silu),
    "hardswish": ("Hardswish", torch.nn.functional.hardswish),
}
"""As the engine names them: their names in torch, and the functions."""

_MOST_KNOWN = 64
_is_compiling = torch.compiler.is_dynamo_compiling
_is_autocast = torch.is_autocast_enabled
_records = torch.is_grad_enabled
_tensor_keys, _thread_keys = eager.tensor_keys, eager.thread_keys


class FusedConv2d(Conv2d):
    """A `Conv2d` of an eval-mode model, with the normalisation, residual and activation that followed it.

    Args:
        layer: the layer it stands for.
        weight, bias: its own, or those with a BatchNorm2d folded into them. They need no gradients.
        folded: whether a BatchNorm2d is.
        activation: a name of `ACTIVATIONS`.
        adds_residual: whether a residual is added before the activation.

    Gradients of the input and the residual are computed; then kernels do not run what follows.
    """

    def __init__(
        self,
        layer: Conv2d,
        weight: Tensor,
        bias: Tensor | None,
        *,
        folded: bool,
        activation: str,
        adds_residual: bool,
    ) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]  # torch calls it a tuple of any length.
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            bias is not None,
            layer.padding_mode,
            device="meta",
        )
        self.weight = torch.nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = None if bias is None else torch.nn.Parameter(bias.detach(), requires_grad=False)
        self.folded, self.activation, self.adds_residual = folded, activation, adds_residual
        self._known: dict[object, launch.FinishedPass | None] = {}
        self.eval()

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """The activation of convolution plus residual; the residual may be of any shape that adds to it."""
        if not _is_compiling() and not has_torch_function_variadic(input, residual):
            weight, bias = self.weight, self.bias
            try:
                key = (
                    input.shape, input.stride(), input.dtype, _tensor_keys(input).raw_repr(),
                    None if residual is None else (
                        residual.shape, residual.stride(), residual.dtype, _tensor_keys(residual).raw_repr()
                    ),
                    weight.shape, weight.stride(), weight.dtype, _tensor_keys(weight).raw_repr(),
                    self.stride, self.padding, self.dilation, self.groups, self.padding_mode, self.activation,
                    None if bias is None else (bias.stride(), bias.dtype, _tensor_keys(bias).raw_repr()),
                    _thread_keys().raw_repr(), _is_autocast("cpu"), precision.rounding(),
                    launch.seems_frozen(weight),
                )  # fmt: skip
                found = self._known[key]
            except KeyError:
                found = self._learn(key, input, residual)
            except (AttributeError, RuntimeError, TypeError):  # No tensor, or one without strides.
                return self._apart(input, residual)
            records = _records() and (input.requires_grad or _requires_grad(residual, weight, bias))
            if found is not None and not records and forward_ad._current_level < 0:
                if profiler._is_profiler_enabled:
                    return profiling.named("convolution", found, input, weight, bias, residual)
                return found(input, weight, bias, residual)
        return self._apart(input, residual)

    def _apart(self, input: Tensor, residual: Tensor | None) -> Tensor:
        """One after the other, for all that kernels with an ending do not do."""
        output = super().forward(input)
        if residual is not None:
            output = output + residual
        _, activate = ACTIVATIONS[self.activation]
        return output if activate is None else activate(output)

    def _learn(self, key: object, input: Tensor, residual: Tensor | None) -> launch.FinishedPass | None:
        """What calls like this one may use; None where kernels do not do it."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = found = self._prepared(input, residual)
        return found

    def _prepared(self, input: Tensor, residual: Tensor | None) -> launch.FinishedPass | None:
        weight, bias = self.weight, self.bias
        tensors = [it for it in (input, weight, bias, residual) if it is not None]
        if not eager.is_plain(*tensors) or _is_autocast("cpu") or input.dim() != 4:
            return None
        if any(it.is_neg() or it.is_conj() for it in tensors):
            return None
        shapes = input.shape, weight.shape, None if bias is None else bias.shape
        try:
            convolution = validate.resolve(
                *shapes, self.stride, self.padding, self.dilation, self.groups, self.padding_mode
            )
            operands.check_dtypes(input, weight, bias)
        except TatamuError:
            return None  # The convolution alone says it again, and in which layer.
        return launch.prepare_finished(input, weight, bias, convolution, self.activation, residual)

    def train(self, mode: bool = True) -> FusedConv2d:
        """Stay in eval mode.

        Raises:
            FrozenTrainingError: it is to be trained.
        """
        if mode:
            raise FrozenTrainingError.of_fused(self)
        super().train(False)
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        if self.folded:
            raise FrozenLoadError.of(self)
        super()._load_from_state_dict(*arguments)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}

    def extra_repr(self) -> str:
        """The layer, and what is fused with it."""
        return ", ".join([super().extra_repr(), *self.fused()])  # type: ignore[no-untyped-call]  # torch's.

    def fused(self) -> list[str]:
        """What is fused with the convolution, in order, in words."""
        activation, _ = ACTIVATIONS[self.activation]
        named = ("BatchNorm2d folded" * self.folded, "residual added" * self.adds_residual, activation)
        return [name for name in named if name]


def _requires_grad(*tensors: Tensor | None) -> bool:
    return any(it is not None and it.requires_grad for it in tensors)
