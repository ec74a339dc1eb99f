"""torch tensors → addresses, sizes and strides for the engine; results are allocated here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from tatamu import precision
from tatamu.engine import reuse
from tatamu.engine.execute import Call
from tatamu.engine.lowering.common import Lowered, Operand
from tatamu.engine.lowering.endings import takes_ending, with_ending
from tatamu.engine.lowering.passes import (
    lower_forward,
    lower_grad_bias,
    lower_grad_input,
    lower_grad_weight,
)
from tatamu.engine.runtime.memory import LARGE_RESULT, ask_for_huge_pages
from tatamu.engine.spec import ELEMENT_TYPES
from tatamu.engine.target import host
from tatamu.geometry import Axis, Convolution, Geometry
from tatamu.layout import memory_format, suggest_channels_last

Size = tuple[int, int, int, int]

_ELEMENTS = {
    torch.float16: ELEMENT_TYPES["f16"],
    torch.bfloat16: ELEMENT_TYPES["bf16"],
    torch.float32: ELEMENT_TYPES["f32"],
    torch.float64: ELEMENT_TYPES["f64"],
    torch.complex32: ELEMENT_TYPES["c32"],
    torch.complex64: ELEMENT_TYPES["c64"],
    torch.complex128: ELEMENT_TYPES["c128"],
    torch.int8: ELEMENT_TYPES["i8"],
    torch.int16: ELEMENT_TYPES["i16"],
    torch.int32: ELEMENT_TYPES["i32"],
    torch.int64: ELEMENT_TYPES["i64"],
    torch.uint8: ELEMENT_TYPES["u8"],
}

_MOST_PREPARED = 4096


Pass = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""A pass on tensors of the sizes, strides and dtypes that it was prepared for: source, second operand, bias.

They are not lazily negated, nor conjugated where they were not at the time.
"""

_empty_like = torch.empty_like
_threads = torch.get_num_threads
_frozen = reuse.frozen
_prepared: dict[object, Pass] = {}


def watched(tensor: Tensor) -> Callable[[], bool]:
    """Tells whether the tensor's memory is still there; keeps neither the tensor nor its memory.

    No reference of Python's: torch.utils.swap_tensors refuses tensors that have one.
    """
    storage = tensor.untyped_storage()
    reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # torch's.
    address = storage.data_ptr()
    find: Callable[[object], torch.UntypedStorage | None] = torch.UntypedStorage._new_with_weak_ptr

    def is_there() -> bool:
        found = find(reference.cdata)
        # Sharing and resizing give the same storage other memory.
        return found is not None and found.data_ptr() == address

    return is_there


def freeze(weight: Tensor) -> None:
    """Take the user's word that a weight stays as it is, until `thaw` or until its memory is no more."""
    if _lies_in_memory(weight):
        reuse.freeze(weight.data_ptr(), watched(weight))


def thaw(weight: Tensor) -> None:
    """Find out again at each call whether a weight has changed."""
    if _lies_in_memory(weight):
        reuse.thaw(weight.data_ptr())


def seems_frozen(weight: Tensor) -> bool:
    """Whether there is a promise about the address: enough for a plan, which is right for any weight."""
    return bool(_frozen) and _lies_in_memory(weight) and weight.data_ptr() in _frozen


def _lies_in_memory(weight: Tensor) -> bool:
    """Whether it is no fake, no subclass of its own kind, not lazy, and on the CPU."""
    plain = type(weight) in (Tensor, torch.nn.Parameter)
    return plain and weight.device.type == "cpu" and weight.layout is torch.strided


def _ready(call: Call, result: Tensor, *, promised: bool = False) -> Pass:
    """The pass that makes results like this one, whose memory is let go."""
    run, again = call.run, reuse.reusing(call, host(), promised=promised)
    run_again = None if again is None else again.run
    large = result.nbytes >= LARGE_RESULT
    # Nothing makes a tensor sooner than the pattern of sizes, strides and dtype that it is to have.
    result.untyped_storage().resize_(0)

    # Free variables are the cheapest to read.
    def compute(source: Tensor, second: Tensor, bias: Tensor | None) -> Tensor:
        fresh = _empty_like(result)
        address = fresh.data_ptr()
        if large:
            ask_for_huge_pages(address, fresh.nbytes)
        bias_address = 0 if bias is None else bias.data_ptr()
        if run_again is None:
            run(source.data_ptr(), second.data_ptr(), bias_address, address, _threads())
        else:
            watch = partial(watched, second)
            run_again(source.data_ptr(), second.data_ptr(), bias_address, address, _threads(), watch)
        return fresh

    return compute


def _prepare(
    key: object,
    size: Sequence[int],
    like: Tensor,
    channels_last: bool,
    lower: Callable[[Operand], Lowered],
    *,
    promised: bool = False,
) -> Pass:
    """Make ready for these sizes and strides what later calls find."""
    result = torch.empty(size, dtype=like.dtype, device="cpu", memory_format=memory_format(channels_last))
    operand = _operand(result) if result.dim() == 4 else Operand((0, 1, 0, 0))
    prepared = _ready(Call(lower(operand), host()), result, promised=promised)
    if len(_prepared) >= _MOST_PREPARED:
        _prepared.clear()
    _prepared[key] = prepared
    return prepared


def _signature(tensor: Tensor) -> tuple[object, ...]:
    """What a prepared call depends on in one operand."""
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.is_conj()


def _operand(tensor: Tensor) -> Operand:
    n, c, h, w = tensor.stride()
    return Operand((n, c, h, w), tensor.is_conj())


def _size(tensor: Tensor) -> Size:
    n, c, h, w = tensor.shape
    return n, c, h, w


def _zeros(size: Sequence[int], like: Tensor, channels_last: bool) -> Tensor:
    """The result of sums over nothing."""
    zeros = torch.zeros(size, dtype=like.dtype, device="cpu")
    return zeros.contiguous(memory_format=memory_format(channels_last))


def forward(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> Tensor:
    """The convolution of an input (N, C, H, W) with a weight (O, C / groups, kh, kw): (N, O, Ho, Wo).

    ``bias`` is (O,) or None. Arguments are valid; nothing is recorded for autograd.
    """
    input, weight = input.resolve_neg(), weight.resolve_neg()
    if bias is not None:
        bias = bias.resolve_neg().resolve_conj()
    prepared = prepare_forward(input, weight, bias, convolution)
    if prepared is None:
        size = Geometry.of(_size(input), _size(weight), convolution).output_size
        return _zeros(size, input, suggest_channels_last(input, weight))
    return prepared(input, weight, bias)


def prepare_forward(
    input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution
) -> Pass | None:
    """`forward` of such operands, of which none is lazily negated; None where its sums are over nothing."""
    if input.numel() == 0 or weight.numel() == 0:
        return None
    stride = None if bias is None else bias.stride(0)
    frozen = seems_frozen(weight)
    operands = _signature(input), _signature(weight)
    key = ("forward", *operands, stride, convolution, precision.rounding(), frozen)

    def lower(result: Operand) -> Lowered:
        element = _ELEMENTS[input.dtype]
        operands = _operand(input), _operand(weight), stride, result
        rounding = precision.rounding()
        return lower_forward(geometry, element, host(), *operands, rounding=rounding, frozen=frozen)

    found = _prepared.get(key)
    if found is not None:
        return found
    geometry = Geometry.of(_size(input), _size(weight), convolution)
    last = suggest_channels_last(input, weight)
    return _prepare(key, geometry.output_size, input, last, lower, promised=frozen)


FinishedPass = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""A forward pass with an ending: source, weight, bias, residual; each is as it was when this was prepared."""


def prepare_finished(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    convolution: Convolution,
    activation: str,
    residual: Tensor | None,
) -> FinishedPass | None:
    """The forward pass with one of `engine.ending.ACTIVATIONS` after it, and the residual before that.

    None where the kernel that computes such operands has no endings, or where the residual does not lie in
    memory as the result does. Operands are as those of `prepare_forward`.
    """
    if input.numel() == 0 or weight.numel() == 0:
        return None
    geometry = Geometry.of(_size(input), _size(weight), convolution)
    form = memory_format(suggest_channels_last(input, weight))
    result = torch.empty(geometry.output_size, dtype=input.dtype, device="cpu", memory_format=form)
    if residual is not None and (_signature(residual) != _signature(result) or residual.is_neg()):
        return None
    element, stride = _ELEMENTS[input.dtype], None if bias is None else bias.stride(0)
    operands = _operand(input), _operand(weight), stride, _operand(result)
    frozen = seems_frozen(weight)
    rounding = precision.rounding()
    lowered = lower_forward(geometry, element, host(), *operands, rounding=rounding, frozen=frozen)
    if not takes_ending(lowered, element):
        return None
    finished = with_ending(lowered, element, activation, residual is not None)
    return _ready_to_finish(Call(finished, host()), result, promised=frozen)


def _ready_to_finish(call: Call, result: Tensor, *, promised: bool) -> FinishedPass:
    run, again = call.run, reuse.reusing(call, host(), promised=promised)
    run_again = None if again is None else again.run
    large = result.nbytes >= LARGE_RESULT
    result.untyped_storage().resize_(0)

    def compute(source: Tensor, second: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        fresh = _empty_like(result)
        address = fresh.data_ptr()
        if large:
            ask_for_huge_pages(address, fresh.nbytes)
        bias_address = 0 if bias is None else bias.data_ptr()
        added = 0 if residual is None else residual.data_ptr()
        if run_again is None:
            run(source.data_ptr(), second.data_ptr(), bias_address, address, _threads(), 0, 0, added)
        else:
            watch = partial(watched, second)
            run_again(source.data_ptr(), second.data_ptr(), bias_address, address, _threads(), watch, added)
        return fresh

    return compute


def plans(input: Tensor, weight: Tensor, bias: Tensor | None, convolution: Convolution) -> dict[str, Lowered]:
    """How 'forward', 'grad_input' and 'grad_weight' would be computed; nothing is, and nothing compiled.

    The gradient of the output is taken to lie as the output does. Of integers there is no gradient.
    """
    geometry = Geometry.of(_size(input), _size(weight), convolution)
    form = memory_format(suggest_channels_last(input, weight))
    y, gx, gw = (
        _operand(torch.empty(size, dtype=input.dtype, device="meta", memory_format=form))
        for size in (geometry.output_size, geometry.input_size, geometry.weight_size)
    )
    x, w, stride = _operand(input), _operand(weight), None if bias is None else bias.stride(0)
    common, rounding = (geometry, _ELEMENTS[input.dtype], host()), precision.rounding()
    frozen = seems_frozen(weight)
    found = {"forward": lower_forward(*common, x, w, stride, y, rounding=rounding, frozen=frozen)}
    if not _ELEMENTS[input.dtype].is_integer:
        found["grad_input"] = lower_grad_input(*common, y, w, gx, rounding=rounding)
        found["grad_weight"] = lower_grad_weight(*common, x, y, gw, rounding=rounding)
    return found


def grad_input(
    grad_output: Tensor, weight: Tensor, input_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the input, (N, C, H, W), from that of the output; the weight counts conjugated."""
    grad_output, weight = grad_output.resolve_neg(), weight.resolve_neg()
    prepared = prepare_grad_input(grad_output, weight, input_size, convolution, channels_last)
    if prepared is None:
        return _zeros(input_size, grad_output, channels_last)
    return prepared(grad_output, weight, None)


def prepare_grad_input(
    grad_output: Tensor, weight: Tensor, input_size: Size, convolution: Convolution, channels_last: bool
) -> Pass | None:
    """`grad_input` of such operands, none lazily negated; None where its sums are over nothing."""
    if grad_output.numel() == 0 or weight.numel() == 0:
        return None
    operands = _signature(grad_output), _signature(weight)
    key = ("grad_input", *operands, input_size, convolution, channels_last, precision.rounding())

    def lower(result: Operand) -> Lowered:
        geometry = Geometry.of(input_size, _size(weight), convolution)
        element = _ELEMENTS[grad_output.dtype]
        operands = _operand(grad_output), _operand(weight), result
        return lower_grad_input(geometry, element, host(), *operands, rounding=precision.rounding())

    return _prepared.get(key) or _prepare(key, input_size, grad_output, channels_last, lower)


def grad_weight(
    grad_output: Tensor, input: Tensor, weight_size: Size, convolution: Convolution, channels_last: bool
) -> Tensor:
    """The gradient of the weight, (O, C / groups, kh, kw), from the output's; the input counts conjugated."""
    grad_output, input = grad_output.resolve_neg(), input.resolve_neg()
    prepared = prepare_grad_weight(grad_output, input, weight_size, convolution, channels_last)
    if prepared is None:
        return _zeros(weight_size, grad_output, channels_last)
    return prepared(input, grad_output, None)


def prepare_grad_weight(
    grad_output: Tensor, input: Tensor, weight_size: Size, convolution: Convolution, channels_last: bool
) -> Pass | None:
    """`grad_weight` of such operands, none lazily negated; None where its sums are over nothing.

    It takes the input first, then the gradient.
    """
    if grad_output.numel() == 0 or input.numel() == 0:
        return None
    operands = _signature(grad_output), _signature(input)
    key = ("grad_weight", *operands, weight_size, convolution, channels_last, precision.rounding())

    def lower(result: Operand) -> Lowered:
        geometry = Geometry.of(_size(input), weight_size, convolution)
        element = _ELEMENTS[grad_output.dtype]
        operands = _operand(input), _operand(grad_output), result
        return lower_grad_weight(geometry, element, host(), *operands, rounding=precision.rounding())

    return _prepared.get(key) or _prepare(key, weight_size, grad_output, channels_last, lower)


def grad_bias(grad_output: Tensor) -> Tensor:
    """The gradient of the bias, (O,), from that of the output (N, O, Ho, Wo)."""
    grad_output = grad_output.resolve_neg()
    prepared = prepare_grad_bias(grad_output)
    if prepared is None:
        return _zeros((grad_output.shape[1],), grad_output, channels_last=False)
    return prepared(grad_output, grad_output, None)


def prepare_grad_bias(grad_output: Tensor) -> Pass | None:
    """`grad_bias` of such a gradient, not lazily negated; None where its sums are over nothing.

    It takes the gradient twice.
    """
    if grad_output.numel() == 0:
        return None
    key = ("grad_bias", _signature(grad_output))

    def lower(_: Operand) -> Lowered:
        n, o, h, w = _size(grad_output)
        geometry = Geometry(n, 0, o, 1, Axis(h, 1), Axis(w, 1))
        return lower_grad_bias(geometry, _ELEMENTS[grad_output.dtype], host(), _operand(grad_output))

    return _prepared.get(key) or _prepare(key, (grad_output.shape[1],), grad_output, False, lower)
