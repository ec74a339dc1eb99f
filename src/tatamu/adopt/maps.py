"""The four maps of a device, each made ready for operands like those that are given."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from tatamu import launch
from tatamu.adopt.arguments import Left
from tatamu.errors import GpuError
from tatamu.geometry import Convolution
from tatamu.gpu import availability
from tatamu.launch import Pass, Size


class Maps(Protocol):
    """As `tatamu.launch` has them. A pass is None where its sums are over nothing."""

    def prepare_forward(
        self, input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution
    ) -> Pass | None:
        """The output, of input, weight and bias."""

    def prepare_grad_input(
        self,
        grad_output: Tensor,
        weight: Tensor,
        input_size: Size,
        convolution: Convolution,
        channels_last: bool,
    ) -> Pass | None:
        """The gradient of the input, of grad_output, weight and None."""

    def prepare_grad_weight(
        self,
        grad_output: Tensor,
        input: Tensor,
        weight_size: Size,
        convolution: Convolution,
        channels_last: bool,
    ) -> Pass | None:
        """The gradient of the weight, of input, grad_output and None."""

    def prepare_grad_bias(self, grad_output: Tensor) -> Pass | None:
        """The gradient of the bias, of grad_output twice and None."""


class OnGpu:
    """Those on a GPU, where each call finds what it needs by itself."""

    def __init__(self, maps: availability.Maps) -> None:
        self._maps = maps

    def prepare_forward(
        self, _input: Tensor, _weight: Tensor, _bias: Tensor | None, convolution: Convolution
    ) -> Pass:
        """See `Maps`."""
        return lambda source, weight, bias: self._maps.forward(source, weight, bias, convolution)

    def prepare_grad_input(
        self,
        _grad_output: Tensor,
        _weight: Tensor,
        input_size: Size,
        convolution: Convolution,
        channels_last: bool,
    ) -> Pass:
        """See `Maps`."""
        return lambda grad_output, weight, _: self._maps.grad_input(
            grad_output, weight, input_size, convolution, channels_last
        )

    def prepare_grad_weight(
        self,
        _grad_output: Tensor,
        _input: Tensor,
        weight_size: Size,
        convolution: Convolution,
        channels_last: bool,
    ) -> Pass:
        """See `Maps`."""
        return lambda source, grad_output, _: self._maps.grad_weight(
            grad_output, source, weight_size, convolution, channels_last
        )

    def prepare_grad_bias(self, _grad_output: Tensor) -> Pass:
        """See `Maps`."""
        return lambda grad_output, _again, _none: self._maps.grad_bias(grad_output)


def of(device: str) -> Maps:
    """Those of 'cpu' or 'cuda'.

    Raises:
        Left: there are no kernels for this program's GPUs.
    """
    if device == "cpu":
        return launch
    try:
        return OnGpu(availability.maps())
    except GpuError as error:
        raise Left(str(error)) from None
