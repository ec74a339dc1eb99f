"""The four maps as operators of torch, `torch.ops.tatamu`: right under every transform, tracer and compiler.

Each operator has a kernel, a fake kernel (sizes and strides alone, symbolic sizes included), a batching rule, and a derivative
in both directions. torch's `register_autograd` knows the backward direction only, and lets forward-mode tangents vanish without
a word; so the derivatives are registered as a kernel for the Autograd key, which is the level of torch at which each
transform (and each of several nested ones) asks for its own derivative.

Tensor arguments come first. Then, for all but the bias: sizes of the result where they do not follow from the operands, the
convolution in plain values (the operators' schemas know no classes), and for gradients the memory format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch.autograd.forward_ad import _set_fwd_grad_enabled

# torch's own base of autograd.Function: the same, but for one level of torch.func at a time, as a kernel needs it.
from torch.autograd.function import _SingleLevelFunction

from tatamu import errors, launch, validate
from tatamu.autograd import batching, operands
from tatamu.geometry import Convolution, Geometry
from tatamu.layout import memory_format, suggest_channels_last

Size = tuple[int, int, int, int]
Plain = tuple[Sequence[int], Sequence[int], Sequence[int], int, str]

_CONVOLUTION = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, str padding_mode"
_library = torch.library.Library("tatamu", "DEF")
for _schema in (
    f"convolution(Tensor input, Tensor weight, Tensor? bias, {_CONVOLUTION}) -> Tensor",
    f"grad_input(Tensor grad_output, Tensor weight, SymInt[] input_size, {_CONVOLUTION}, bool channels_last) -> Tensor",
    f"grad_weight(Tensor grad_output, Tensor input, SymInt[] weight_size, {_CONVOLUTION}, bool channels_last) -> Tensor",
    "grad_bias(Tensor grad_output) -> Tensor",
):
    _library.define(_schema)
_convolution = torch.ops.tatamu.convolution.default
_grad_input = torch.ops.tatamu.grad_input.default
_grad_weight = torch.ops.tatamu.grad_weight.default
_grad_bias = torch.ops.tatamu.grad_bias.default


def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:  # noqa: A002  # torch's name for it.
    """The output (N, O, Ho, Wo) of an input (N, C, H, W), a weight (O, C / groups, kh, kw) and a bias (O,) or None."""
    return _tensor(_convolution(input, weight, bias, *_plain(convolution)))


def grad_input(
    grad_output: Tensor, weight: Tensor, input_size: Sequence[int], convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient (N, C, H, W) of the input, for a gradient (N, O, Ho, Wo) of the output."""
    return _tensor(_grad_input(grad_output, weight, input_size, *_plain(convolution), channels_last))


def grad_weight(
    grad_output: Tensor,
    input: Tensor,  # noqa: A002  # torch's name for it.
    weight_size: Sequence[int],
    convolution: Convolution,
    channels_last: bool,
) -> Tensor:
    """The gradient (O, C / groups, kh, kw) of the weight, for a gradient (N, O, Ho, Wo) of the output."""
    return _tensor(_grad_weight(grad_output, input, weight_size, *_plain(convolution), channels_last))


def grad_bias(grad_output: Tensor) -> Tensor:
    """The gradient (O,) of the bias, for a gradient (N, O, Ho, Wo) of the output."""
    return _tensor(_grad_bias(grad_output))


def _tensor(result: Any) -> Tensor:  # An operator's result is typed Any.
    assert isinstance(result, Tensor)
    return result


def _plain(convolution: Convolution) -> Plain:
    rows, columns = convolution.padding
    return convolution.stride, (*rows, *columns), convolution.dilation, convolution.groups, convolution.padding_mode


def _resolved(
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int, padding_mode: str
) -> Convolution:
    top, bottom, left, right = padding
    return Convolution(
        (stride[0], stride[1]), ((top, bottom), (left, right)), (dilation[0], dilation[1]), groups, padding_mode
    )


# ---- Kernels. An operator can be called from anywhere with anything, and kernels write through pointers: all is checked.

_validated = lru_cache(maxsize=4096)(validate.resolve)


def _checked(input_size: Size, weight_size: Size, bias_size: tuple[int, ...] | None, plain: Plain) -> Convolution:
    convolution = _resolved(*plain)
    return _validated(
        input_size, weight_size, bias_size, convolution.stride, convolution.padding, convolution.dilation,
        convolution.groups, convolution.padding_mode,
    )  # fmt: skip


def _check_grad_output(grad_output: Tensor, input_size: Size, weight_size: Size, convolution: Convolution) -> None:
    expected = Geometry.of(input_size, weight_size, convolution).output_size
    if tuple(grad_output.shape) != expected:
        raise errors.GradOutputSizeError.of(grad_output.shape, expected)


def _size(size: Sequence[int]) -> Size:
    a, b, c, d = size
    return a, b, c, d


def _convolution_cpu(input: Tensor, weight: Tensor, bias: Tensor | None, *plain: Any) -> Tensor:  # noqa: A002  # torch's name for it.
    operands.check_kind(input, weight, bias)
    operands.check_dtypes(input, weight, bias)
    bias_size = None if bias is None else tuple(bias.shape)
    checked = _checked(_size(input.shape), _size(weight.shape), bias_size, plain)
    return launch.forward(input, weight, bias, checked)


def _grad_input_cpu(grad_output: Tensor, weight: Tensor, input_size: Sequence[int], *rest: Any) -> Tensor:
    *plain, channels_last = rest
    operands.check_kind(grad_output, weight, None)
    operands.check_dtypes(grad_output, weight, None)
    sizes = _size(input_size), _size(weight.shape)
    checked = _checked(*sizes, None, tuple(plain))
    _check_grad_output(grad_output, *sizes, checked)
    return launch.grad_input(grad_output, weight, sizes[0], checked, channels_last)


def _grad_weight_cpu(grad_output: Tensor, input: Tensor, weight_size: Sequence[int], *rest: Any) -> Tensor:  # noqa: A002  # torch's name for it.
    *plain, channels_last = rest
    operands.check_kind(grad_output, input, None)
    operands.check_dtypes(grad_output, input, None)
    sizes = _size(input.shape), _size(weight_size)
    checked = _checked(*sizes, None, tuple(plain))
    _check_grad_output(grad_output, *sizes, checked)
    return launch.grad_weight(grad_output, input, sizes[1], checked, channels_last)


# ---- Fake kernels. Sizes may be symbolic: no hashing, and no checks, which `functional` has made.


def _empty(size: Sequence[int], like: Tensor, channels_last: bool) -> Tensor:
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=memory_format(channels_last))


def _convolution_fake(input: Tensor, weight: Tensor, _bias: Tensor | None, *plain: Any) -> Tensor:  # noqa: A002  # torch's name for it.
    size = Geometry.of(_size(input.shape), _size(weight.shape), _resolved(*plain)).output_size
    return _empty(size, input, suggest_channels_last(input, weight))


def _grad_fake(grad_output: Tensor, _other: Tensor, size: Sequence[int], *rest: Any) -> Tensor:
    return _empty(size, grad_output, rest[-1])


def _grad_bias_fake(grad_output: Tensor) -> Tensor:
    return _empty((grad_output.shape[1],), grad_output, False)


# ---- Derivatives, in terms of the same four operators.


class _Rule(Protocol):
    """What differentiation needs to know of a map; `save` is given all arguments of the operator."""

    @staticmethod
    def save(ctx: Any, *arguments: Any) -> None:
        """Keep what the derivatives take."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the tensor arguments; None where there is none to compute."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        """The tangent of the result for tangents of the tensor arguments."""


def _keep(ctx: Any, *tensors: Tensor) -> None:
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


def _sum(*terms: Tensor | None) -> Tensor | None:
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


class _ConvolutionRule:
    @staticmethod
    def save(ctx: Any, input: Tensor, weight: Tensor, _bias: Tensor | None, *plain: Any) -> None:  # noqa: A002  # torch's name for it.
        _keep(ctx, input, weight)
        ctx.plain = plain
        ctx.channels_last = suggest_channels_last(input, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors  # noqa: A001  # torch's name for it.
        rest = (*ctx.plain, ctx.channels_last)
        of_input, of_weight, of_bias = ctx.needs_input_grad[1:4]
        return (
            _grad_input(grad, weight, input.shape, *rest) if of_input else None,
            _grad_weight(grad, input, weight.shape, *rest) if of_weight else None,
            _grad_bias(grad) if of_bias else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        input, weight = ctx.saved_tensors  # noqa: A001  # torch's name for it.
        input_tangent, weight_tangent, bias_tangent = tangents
        # Each is a convolution; the bias's tangent joins whichever there is.
        if input_tangent is None and weight_tangent is None and bias_tangent is not None:
            size = Geometry.of(_size(input.shape), _size(weight.shape), _resolved(*ctx.plain)).output_size
            return _over_images(bias_tangent, size)
        bias_of_input = None if weight_tangent is not None else bias_tangent
        return _sum(
            None if input_tangent is None else _convolution(input_tangent, weight, bias_of_input, *ctx.plain),
            None if weight_tangent is None else _convolution(input, weight_tangent, bias_tangent, *ctx.plain),
        )


class _GradInputRule:
    @staticmethod
    def save(ctx: Any, grad_output: Tensor, weight: Tensor, input_size: Sequence[int], *rest: Any) -> None:
        _keep(ctx, grad_output, weight)
        ctx.size, ctx.rest = input_size, rest

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_output, weight = ctx.saved_tensors
        of_grad_output, of_weight = ctx.needs_input_grad[1:3]
        return (
            _convolution(grad, weight, None, *ctx.rest[:-1]) if of_grad_output else None,
            _grad_weight(grad_output, grad, weight.shape, *ctx.rest) if of_weight else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        grad_output, weight = ctx.saved_tensors
        grad_tangent, weight_tangent = tangents
        return _sum(
            None if grad_tangent is None else _grad_input(grad_tangent, weight, ctx.size, *ctx.rest),
            None if weight_tangent is None else _grad_input(grad_output, weight_tangent, ctx.size, *ctx.rest),
        )


class _GradWeightRule:
    @staticmethod
    def save(ctx: Any, grad_output: Tensor, input: Tensor, weight_size: Sequence[int], *rest: Any) -> None:  # noqa: A002  # torch's name for it.
        _keep(ctx, grad_output, input)
        ctx.size, ctx.rest = weight_size, rest

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_output, input = ctx.saved_tensors  # noqa: A001  # torch's name for it.
        of_grad_output, of_input = ctx.needs_input_grad[1:3]
        return (
            _convolution(input, grad, None, *ctx.rest[:-1]) if of_grad_output else None,
            _grad_input(grad_output, grad, input.shape, *ctx.rest) if of_input else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        grad_output, input = ctx.saved_tensors  # noqa: A001  # torch's name for it.
        grad_tangent, input_tangent = tangents
        return _sum(
            None if grad_tangent is None else _grad_weight(grad_tangent, input, ctx.size, *ctx.rest),
            None if input_tangent is None else _grad_weight(grad_output, input_tangent, ctx.size, *ctx.rest),
        )


class _GradBiasRule:
    @staticmethod
    def save(ctx: Any, grad_output: Tensor) -> None:
        ctx.size = grad_output.shape

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (_over_images(grad, ctx.size),)

    @staticmethod
    def jvp(_ctx: Any, *tangents: Tensor | None) -> Tensor | None:
        return None if tangents[0] is None else _tensor(_grad_bias(tangents[0]))


def _over_images(bias: Tensor, size: Sequence[int]) -> Tensor:
    """A bias (O,) in every pixel of images (N, O, H, W): the transpose of summing over them."""
    return bias[:, None, None].expand(size)


class _Level:
    """Where in torch's stack of transforms an operator was called, to call it again one step further down."""

    def __init__(self, operator: Any, keys: Any) -> None:
        self.operator = operator
        self.keys = keys & torch._C._after_autograd_keyset
        self.grad, self.forward_grad = torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled()

    def descend(self, arguments: Sequence[Any]) -> Any:
        with ExitStack() as stack:
            stack.enter_context(torch._C._AutoDispatchBelowAutograd())
            # A Function turns both off for its forward, but outer transforms, which come next, have still to see them on.
            stack.enter_context(torch.set_grad_enabled(self.grad))
            stack.enter_context(_set_fwd_grad_enabled(self.forward_grad))
            return self.operator.redispatch(self.keys, *arguments)


def _differentiable(operator: Any, rule: type[_Rule]) -> Callable[..., Tensor]:
    """The Autograd kernel of an operator: calls it one level down, and knows the derivatives at this one."""

    def forward(level: _Level, *arguments: Any) -> Any:
        return level.descend(arguments)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.set_materialize_grads(False)
        ctx.others = len(inputs)
        rule.save(ctx, *inputs[1:])

    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        grads = () if grad is None else rule.backward(ctx, grad)
        return (None, *grads, *[None] * (ctx.others - len(grads) - 1))

    def jvp(ctx: Any, _level: None, *tangents: Tensor | None) -> Tensor | None:
        return rule.jvp(ctx, *tangents[:tensors])

    tensors = sum(str(argument.type) in ("Tensor", "Optional[Tensor]") for argument in operator._schema.arguments)
    methods = {"forward": forward, "setup_context": setup_context, "backward": backward, "jvp": jvp}
    function: Any = type(
        operator._opname, (_SingleLevelFunction,), {name: staticmethod(method) for name, method in methods.items()}
    )

    def kernel(keys: Any, *arguments: Any) -> Tensor:
        with enable_single_level_autograd_function():
            return _tensor(function.apply(_Level(operator, keys), *arguments))

    return kernel


def _register(
    operator: Any, kernel: Callable[..., Tensor], fake: Callable[..., Tensor], batch: Any, rule: type[_Rule]
) -> None:
    name = operator._opname
    _library.impl(name, kernel, "CPU")
    _library.impl(name, _differentiable(operator, rule), "Autograd", with_keyset=True)
    torch.library.register_fake(f"tatamu::{name}", fake, lib=_library)
    torch.library.register_vmap(f"tatamu::{name}", partial(batch, operator), lib=_library)


_register(_convolution, _convolution_cpu, _convolution_fake, batching.convolution, _ConvolutionRule)
_register(_grad_input, _grad_input_cpu, _grad_fake, batching.grad_input, _GradInputRule)
_register(_grad_weight, _grad_weight_cpu, _grad_fake, batching.grad_weight, _GradWeightRule)
_register(_grad_bias, launch.grad_bias, _grad_bias_fake, batching.grad_bias, _GradBiasRule)
