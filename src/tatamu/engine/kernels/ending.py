"""The last steps of a kernel on each result: a residual is added, an activation follows."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, inf, log, log2

from tatamu.engine.ending import Ending
from tatamu.engine.kernels import llvm_text as ir
from tatamu.engine.kernels.ir import F32, I64, POINTER, Code, Int, Pointer
from tatamu.engine.kernels.job import CallWord, Header
from tatamu.engine.kernels.numbers import Numbers


def finished(
    code: Code, numbers: Numbers, value: ir.Value, at: Pointer, count: Int | None = None
) -> ir.Value:
    """Sums with their biases → what is to be rounded and written at ``at``, by the ending of the module.

    ``value`` is a number or a register of them; of a register the first ``count`` are results, or all.
    """
    ending: Ending | None = getattr(code.module, "ending", None)
    if ending is None:
        return value
    if ending.residual:
        value = code.add(value, _residual(code, numbers, value, at, count))
    curve: Callable[[Code, ir.Value], ir.Value] = _CURVES[ending.curve]
    return curve(code, value)


def has_ending(code: Code) -> bool:
    """Whether there is anything that `finished` does."""
    return getattr(code.module, "ending", None) is not None


def _residual(code: Code, numbers: Numbers, like: ir.Value, at: Pointer, count: Int | None) -> ir.Value:
    """The residuals of the results at ``at``; of lanes past ``count`` nothing is read."""
    there = at.moved_bytes(Int(code, code.once("residual", lambda: _distance(code))))
    lanes = _lanes(like)
    if count is None or lanes is None:
        return numbers.load(code, there, 0, lanes)
    if numbers.target.masks:
        return numbers.widen(code, code.masked_load(there, code.first_lanes(count, lanes), lanes))
    room = code.stack(numbers.stored, lanes)
    room.store(code.zero(ir.VectorType(numbers.stored, lanes)))
    with code.loop(0, count.minimum(lanes)) as lane:
        room.store(there.load(lane), lane)
    return numbers.load(code, room, 0, lanes)


def _call(code: Code) -> Pointer:
    """The words of the call: the last argument of each function of a module with an ending."""
    return Pointer(code, code.function.args[-1], I64)


def _distance(code: Code) -> ir.Value:
    """Bytes from a result to its residual."""
    call = _call(code)
    return (call.read_index(CallWord.RESIDUAL) - call.read_index(CallWord.TARGET)).value


def _clamp(code: Code, value: ir.Value) -> ir.Value:
    """Between the bounds of the table; NaN stays NaN."""

    def bound(word: Header) -> ir.Value:
        table = Pointer(code, _call(code).of(POINTER).load(CallWord.TABLE), I64)
        lanes, scalar = _lanes(value), value.type.element
        read = (table + int(word)).of(scalar).load()
        return read if lanes is None else code.splat(read, lanes)

    low, high = (
        code.once(f"{word.name}{_lanes(value)}", lambda word=word: bound(word))  # type: ignore[misc]  # No type of a default.
        for word in (Header.LOW, Header.HIGH)
    )
    return _between(code, low, high, value)


def _between(code: Code, low: ir.Value, high: ir.Value, value: ir.Value) -> ir.Value:
    # NaN is neither below nor above. One instruction each on x86, whose maximum of NaN is the second operand.
    value = code.builder.select(code.builder.fcmp_ordered(">", low, value), low, value)
    return code.builder.select(code.builder.fcmp_ordered("<", high, value), high, value)


def _silu(code: Code, value: ir.Value) -> ir.Value:
    """x / (1 + exp(-x))."""
    build = code.builder
    return build.fdiv(value, build.fadd(_like(value, 1.0), _exp(code, build.fneg(value))))


def _hardswish(code: Code, value: ir.Value) -> ir.Value:
    """x · clamp(x + 3, 0, 6) / 6."""
    build = code.builder
    shifted = build.fadd(value, _like(value, 3.0))
    ramp = _between(code, _like(value, 0.0), _like(value, 6.0), shifted)
    return build.fmul(build.fmul(value, ramp), _like(value, 1 / 6))


def _exp(code: Code, value: ir.Value) -> ir.Value:
    """exp(x) to within two units in the last place; infinite from e^88 (e^709 in float64) on, NaN of NaN.

    x = n · ln 2 + r with |r| <= ln 2 / 2: the series of exp(r), times 2^n. What the series leaves out is
    less than half a unit in the last place.
    """
    build = code.builder
    single = value.type.element == F32
    terms, fraction, bias, most = (8, 23, 127, 88.0) if single else (14, 52, 1023, 709.0)
    # ln 2 in two parts, of which the first has zeros enough at its end for n times it to be exact.
    high = 0.693359375 if single else float.fromhex("0x1.62e42feep-1")
    low = log(2) - high if single else float.fromhex("0x1.a39ef35793c76p-33")
    bounded = _between(code, _like(value, -most + 1), _like(value, most), value)
    # Adding this leaves the nearest integer in the low bits of the sum.
    magic = _like(value, 1.5 * 2.0**fraction)
    lifted = code.multiply_add(bounded, _like(value, log2(2.718281828459045)), magic)
    n = build.fsub(lifted, magic)
    r = code.multiply_add(n, _like(value, -high), bounded)
    r = code.multiply_add(n, _like(value, -low), r)
    series = _like(value, 1 / factorial(terms - 1))
    for k in reversed(range(terms - 1)):
        series = code.multiply_add(series, r, _like(value, 1 / factorial(k)))
    whole = ir.IntType(32) if single else I64
    lanes = _lanes(value)
    bits = whole if lanes is None else ir.VectorType(whole, lanes)
    exponent = build.add(build.bitcast(lifted, bits), _like_bits(bits, bias))
    power = build.bitcast(build.shl(exponent, _like_bits(bits, fraction)), value.type)
    infinite = build.fcmp_ordered(">", value, _like(value, most))
    return build.select(infinite, _like(value, inf), build.fmul(series, power))


_CURVES: dict[str, Callable[[Code, ir.Value], ir.Value]] = {
    "clamp": _clamp,
    "silu": _silu,
    "hardswish": _hardswish,
}


def _lanes(value: ir.Value) -> int | None:
    return value.type.count if isinstance(value.type, ir.VectorType) else None


def _like(value: ir.Value, number: float) -> ir.Value:
    lanes = _lanes(value)
    return ir.Constant(value.type, number if lanes is None else [number] * lanes)


def _like_bits(type_: ir.Type, number: int) -> ir.Value:
    return ir.Constant(type_, [number] * type_.count if isinstance(type_, ir.VectorType) else number)
