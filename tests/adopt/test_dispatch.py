"""Every way to a 2-D convolution, with tatamu underneath: values, order in memory, who computed it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

import children
import tatamu
from adopt.served import assert_lies_as, assert_same, by_tatamu, by_torch, counted, torchs_kernels
from tatamu.engine import reuse

F = torch.nn.functional
JIT = pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")


def image(*size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*(size or (2, 4, 9, 8)), dtype=dtype)


def gradients(compute: Callable[..., Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
    """The output, and the gradients of all operands."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    output = compute(*leaves)
    direction = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return output, *torch.autograd.grad(output, leaves, direction)


# ---- Values.

GEOMETRIES = [
    (transposed, stride, padding, dilation, groups, more)
    for transposed, stride, padding, dilation, groups, more in itertools.product(
        (False, True), (1, 2, (3, 1)), (0, (2, 1)), (1, (1, 2)), (1, 2), (0, 1, (0, 1))
    )
    if transposed or more == 0
]
FITTING = [it for it in GEOMETRIES if not (it[0] and it[5] != 0 and it[1] == 1 and it[3] == 1)]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "weight channels_last"])
def test_every_geometry(layout: str) -> None:
    for transposed, stride, padding, dilation, groups, more in FITTING:
        x, b = image(), torch.randn(6, dtype=torch.float64)
        w = image(*((4, 6 // groups) if transposed else (6, 4 // groups)), 3, 2)
        if layout == "channels_last":
            x = x.contiguous(memory_format=torch.channels_last)
        elif layout != "contiguous":
            w = w.contiguous(memory_format=torch.channels_last)

        def compute(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            if transposed:  # noqa: B023  # Called in this turn of the loop only.
                return F.conv_transpose2d(x, w, b, stride, padding, more, groups, dilation)  # noqa: B023
            return F.conv2d(x, w, b, stride, padding, dilation, groups)  # noqa: B023

        try:
            expected = by_torch(lambda: gradients(compute, x, w, b))  # noqa: B023
        except RuntimeError as error:
            assert "output padding" in str(error)  # noqa: PT017  # Not what this test is about.
            continue
        with counted(1, 1):
            actual = by_tatamu(lambda: gradients(compute, x, w, b))  # noqa: B023
        assert_same(actual, expected)


def arranged(tensor: Tensor) -> Tensor:
    """The same size, with strides of any kind."""
    match random.randrange(5):
        case 0:
            return tensor.contiguous(memory_format=torch.channels_last)
        case 1:
            return tensor.repeat_interleave(2, 3)[..., ::2]
        case 2:
            return tensor.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0)
        case 3:
            return tensor[:1].expand(tensor.shape)
        case _:
            return tensor


@pytest.mark.filterwarnings("ignore:TF32 acceleration:UserWarning")  # torch's, of its own flags.
@pytest.mark.parametrize("mkldnn", [True, False])
def test_any_geometry_strides_and_mistakes(mkldnn: bool) -> None:
    """Sizes of one, steps over what is padded, kernels larger than images: the same numbers or words."""
    computed = 0
    for _ in range(60):
        transposed, groups = random.random() < 0.4, random.choice((1, 1, 2))
        channels = [groups * random.choice((1, 2, 3)) for _ in range(2)]
        kernel, stride, dilation, padding = (
            [random.choice(range(least, least + 3)) for _ in range(2)] for least in (1, 1, 1, 0)
        )
        more = [random.randrange(max(pair)) for pair in zip(stride, dilation, strict=True)]
        size = [random.choice((1, 2, 5, 7)) for _ in range(2)]
        x = arranged(image(random.choice((1, 3)), channels[0], *size))
        pair = (channels[0], channels[1] // groups) if transposed else (channels[1], channels[0] // groups)
        w = arranged(image(*pair, *kernel))

        def run() -> tuple[Tensor, ...] | str:
            with torch.backends.mkldnn.flags(enabled=mkldnn):
                try:
                    return gradients(
                        lambda x, w: (
                            F.conv_transpose2d(x, w, None, stride, padding, more, groups, dilation)  # noqa: B023
                            if transposed  # noqa: B023
                            else F.conv2d(x, w, None, stride, padding, dilation, groups)  # noqa: B023
                        ),
                        x,  # noqa: B023
                        w,  # noqa: B023
                    )
                except RuntimeError as error:
                    return str(error)

        expected, actual = by_torch(run), by_tatamu(run)
        if isinstance(expected, str) and "needs to be contiguous" not in expected:  # torch's own mistake.
            assert actual == expected
        elif not isinstance(expected, str):
            computed += 1
            torch.testing.assert_close(actual, expected)
            assert_lies_as(actual[0], expected[0])
    assert computed > 20


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_other_floats(dtype: torch.dtype, transposed: bool) -> None:
    compute = F.conv_transpose2d if transposed else F.conv2d
    x, w, b = (image(*size, dtype=dtype) for size in ((2, 8, 9, 8), (8, 8, 3, 3), (8,)))
    with counted(1, 1):
        actual = by_tatamu(lambda: gradients(compute, x, w, b))
    expected = by_torch(lambda: gradients(compute, x.double(), w.double(), b.double()))
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype is dtype
        # Of sums of 72 to 126 products, rounded once or, with a bias after it, twice.
        tolerance = 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance * 16)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8], ids=str)
@pytest.mark.usefixtures("on")
def test_integers(dtype: torch.dtype) -> None:
    x, w = torch.randint(0, 100, (1, 3, 6, 5)).to(dtype), torch.randint(0, 100, (2, 3, 3, 3)).to(dtype)
    with counted(1):
        actual = F.conv2d(x, w)
    expected = F.conv2d(x.double(), w.double())  # Exact: the sums are below 2⁵³.
    assert torch.equal(actual, expected.long().to(dtype))


def test_complex_numbers_are_real_convolutions() -> None:
    x, w = torch.complex(image(), image()), torch.complex(image(6, 4, 3, 3), image(6, 4, 3, 3))
    with counted(3, 3):
        actual = by_tatamu(lambda: gradients(F.conv2d, x, w))
    torch.testing.assert_close(actual, by_torch(lambda: gradients(F.conv2d, x, w)))


def test_a_large_output_padding() -> None:
    """Larger than the stride and the padding, where dilation allows it: rows that nothing reaches."""
    x, w, b = image(1, 2, 3, 4), image(2, 3, 2, 2), torch.randn(3, dtype=torch.float64)

    def compute(*tensors: Tensor) -> Tensor:
        return F.conv_transpose2d(*tensors, 1, (0, 1), (2, 1), 1, 3)

    with counted(1, 1):
        actual = by_tatamu(lambda: gradients(compute, x, w, b))
    assert_same(actual, by_torch(lambda: gradients(compute, x, w, b)))


@pytest.mark.parametrize("mask", list(itertools.product((True, False), repeat=3)), ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_only_the_gradients_that_are_wanted(mask: tuple[bool, bool, bool], transposed: bool) -> None:
    x, w = image(2, 4, 6, 5), image(4, 4, 3, 3)
    grad = image(2, 4, 8, 7) if transposed else image(2, 4, 4, 3)

    def compute() -> Any:
        return torch.ops.aten.convolution_backward(
            grad, x, w, [4], [1], [0], [1], transposed, [0], 1, list(mask)
        )

    assert_same(by_tatamu(compute), by_torch(compute))


# ---- Derivatives.

SECOND: dict[str, Callable[..., Tensor]] = {
    "strided": lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0), (1, 2), 2),
    "same": lambda x, w, b: F.conv2d(x, w, b, padding="same", groups=2),
    "unbatched": lambda x, w, b: F.conv2d(x[0], w, b, groups=2),
    "transposed": lambda x, w, b: F.conv_transpose2d(x, w, b[:2], (2, 1), 1, (1, 0), 1, (1, 2)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # torch's: it pads before.
@pytest.mark.parametrize("name", SECOND)
@pytest.mark.usefixtures("on")
def test_both_orders_against_finite_differences(name: str) -> None:
    operands = [image(2, 4, 5, 4), image(4, 2, 3, 2), torch.randn(4, dtype=torch.float64)]
    operands = [operand.requires_grad_() for operand in operands]
    before = tatamu.status()
    assert torch.autograd.gradcheck(SECOND[name], operands)
    assert torch.autograd.gradgradcheck(SECOND[name], operands)
    after = tatamu.status()
    assert after.forward > before.forward
    assert after.backward > before.backward
    assert after.passed_on == before.passed_on


@pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")  # What forward mode loads, torch's.
def test_forward_mode() -> None:
    x, w = image(), image(6, 4, 3, 3)

    def compute() -> Tensor:
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, x.flip(3))
            return forward_ad.unpack_dual(F.conv2d(dual, w, padding=1)).tangent

    before = tatamu.status().forward
    actual = by_tatamu(compute)
    assert tatamu.status().forward >= before + 2
    assert_same([actual], [by_torch(compute)])


# ---- Ways in.

WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "F.conv2d": F.conv2d,
    "torch.conv2d": torch.conv2d,
    "torch.convolution": lambda x, w: torch.convolution(x, w, None, [1], [0], [1], False, [0], 1),
    "aten.convolution": lambda x, w: torch.ops.aten.convolution(
        x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "torch._convolution": lambda x, w: torch._convolution(
        x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, False, False, True, True
    ),
    "same": lambda x, w: F.conv2d(x, w, padding="same"),
    "valid": lambda x, w: F.conv2d(x, w, padding="valid"),
    "unbatched": lambda x, w: F.conv2d(x[0], w),
    "torch.vmap": torch.vmap(F.conv2d, (0, None)),
    "inference mode": lambda x, w: torch.inference_mode()(F.conv2d)(x, w).clone(),
    "traced": lambda x, w: torch.jit.trace(lambda x: F.conv2d(x, w), x, check_trace=False)(x),
    "F.conv_transpose2d": lambda x, w: F.conv_transpose2d(x, w[:4]),
} | {
    f"nn.Conv2d, {mode}": lambda x, w, mode=mode: torch.func.functional_call(
        nn.Conv2d(4, 6, 3, padding=1, bias=False, padding_mode=mode), {"weight": w}, x
    )
    for mode in ("zeros", "reflect", "replicate", "circular")
}  # fmt: skip


@JIT
@pytest.mark.filterwarnings("ignore:.torch.jit.trace.*")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_in(way: str) -> None:
    x, w = image(), image(6, 4, 3, 3)
    before = tatamu.status()
    actual = by_tatamu(lambda: WAYS[way](x, w))
    after = tatamu.status()
    assert after.forward > before.forward
    assert after.passed_on == before.passed_on
    assert_same([actual], [by_torch(lambda: WAYS[way](x, w))])


@pytest.mark.usefixtures("on")
def test_a_lazy_layer() -> None:
    layer = nn.LazyConv2d(6, 3)
    with counted(1, 1):
        layer(image(dtype=torch.float32)).sum().backward()
    assert type(layer) is nn.Conv2d


def test_nothing_of_torchs_convolves() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, 2, 1, groups=2, padding_mode="circular"),
        nn.Conv2d(8, 8, 3, padding="same", groups=8),
        nn.ConvTranspose2d(8, 4, 3, 2, output_padding=1),
        nn.Conv2d(4, 4, 1),
    )
    x = image(dtype=torch.float32).requires_grad_()

    def twice() -> None:
        (grad,) = torch.autograd.grad(model(x).pow(2).sum(), x, create_graph=True)
        grad.pow(2).sum().backward()

    assert by_tatamu(lambda: torchs_kernels(twice)) == set()
    assert by_torch(lambda: torchs_kernels(twice)), "else their names are others"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype: torch.dtype) -> None:
    x, w = image(dtype=torch.float32), image(6, 4, 3, 3, dtype=torch.float32)

    def compute() -> tuple[Tensor, ...]:
        with torch.autocast("cpu", dtype=dtype):
            return gradients(F.conv2d, x, w)

    with counted(1, 1):
        actual = by_tatamu(compute)
    assert [it.dtype for it in actual] == [dtype, torch.float32, torch.float32]
    torch.testing.assert_close(actual, by_torch(compute), rtol=0.02, atol=0.1)


# What forward mode and the compiler load, torch's own.
@JIT
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled(dynamic: bool) -> None:
    """Without anything to fuse there is nothing for a C++ compiler to do."""
    torch.compiler.reset()
    compiled = torch.compile(F.conv2d, fullgraph=True, dynamic=dynamic)
    x, w = image(), image(6, 4, 3, 3)
    expected = by_torch(lambda: gradients(F.conv2d, x, w))
    assert by_tatamu(lambda: torchs_kernels(lambda: gradients(compiled, x, w))) == set()
    with counted(1, 1):
        actual = by_tatamu(lambda: gradients(compiled, x, w))
    assert_same(actual, expected)
    # Off, the same compiled code is torch's.
    assert_same(by_torch(lambda: gradients(compiled, x, w)), expected)
    torch.compiler.reset()


# ---- What stays torch's.

OTHERS: dict[str, Callable[[], Tensor]] = {
    "1-D": lambda: F.conv1d(image(2, 4, 9), image(6, 4, 3)),
    "3-D": lambda: F.conv3d(image(1, 2, 5, 5, 5), image(3, 2, 2, 2, 2)),
    "nothing to compute": lambda: F.conv2d(image(0, 4, 9, 8), image(6, 4, 3, 3)),
}


@pytest.mark.parametrize("reason", OTHERS)
def test_what_is_passed_on_and_why(reason: str) -> None:
    state = torch.get_rng_state()
    expected = by_torch(OTHERS[reason])
    torch.set_rng_state(state)
    before = tatamu.status().passed_on
    with counted(0, 0, 1):
        actual = by_tatamu(OTHERS[reason])
    after = tatamu.status().passed_on
    assert torch.equal(actual, expected)
    assert_lies_as(actual, expected)
    (why,) = [name for name, count in after.items() if count != before.get(name, 0)]
    assert why.startswith(reason)


@pytest.mark.usefixtures("on")
def test_gradients_of_what_is_passed_on() -> None:
    x = image(2, 4, 9).requires_grad_()
    with counted(0, 0, 2):
        F.conv1d(x, image(6, 4, 3)).sum().backward()


def test_tensors_of_other_kinds_never_arrive() -> None:
    x, w = image().contiguous(memory_format=torch.channels_last), image(6, 4, 3, 3)
    expected = by_torch(lambda: F.conv2d(x, w))
    on_meta = by_torch(lambda: F.conv2d(x.to("meta"), w.to("meta")))
    with tatamu.enabled(), counted(0):
        assert F.conv2d(x.to("meta"), w.to("meta")).stride() == on_meta.stride()
        with FakeTensorMode() as mode:
            fake = F.conv2d(mode.from_tensor(x), mode.from_tensor(w))
        assert fake.stride() == expected.stride()
        if torch.backends.mkldnn.is_available():
            x, w = image(dtype=torch.float32), image(6, 4, 3, 3, dtype=torch.float32)
            dense = F.conv2d(x.to_mkldnn(), w).to_dense()
            assert torch.equal(dense, by_torch(lambda: F.conv2d(x.to_mkldnn(), w).to_dense()))


def _mistakes() -> Iterator[tuple[str, Callable[[], object]]]:
    x, w = torch.zeros(2, 4, 9, 8), torch.zeros(6, 4, 3, 3)
    yield "channels", lambda: F.conv2d(x, torch.zeros(6, 5, 3, 3))
    yield "dimensions", lambda: F.conv2d(torch.zeros(8), w)
    yield "kernel too large", lambda: F.conv2d(x, torch.zeros(6, 4, 10, 3))
    yield "stride", lambda: F.conv2d(x, w, stride=0)
    yield "padding", lambda: F.conv2d(x, w, padding=-1)
    yield "dilation", lambda: F.conv2d(x, w, dilation=0)
    yield "groups", lambda: F.conv2d(x, w, groups=3)
    yield "no groups", lambda: F.conv2d(x, w, groups=0)
    yield "bias", lambda: F.conv2d(x, w, torch.zeros(5))
    yield "dtypes", lambda: F.conv2d(x, w.double())
    yield "dtype of the bias", lambda: F.conv2d(x, w, torch.zeros(6).double())
    yield "bool", lambda: F.conv2d(x.bool(), w.bool())
    yield "complex", lambda: torch.convolution(x + 0j, w + 0j, None, [1], [0], [1], False, [0], 1)
    yield "lengths", lambda: F.conv2d(x, w, stride=(1, 1, 1))
    yield "type", lambda: F.conv2d(x, w, stride="1")  # type: ignore[call-overload]
    yield "same with a stride", lambda: F.conv2d(x, w, stride=2, padding="same")
    yield "transposed channels", lambda: F.conv_transpose2d(x, torch.zeros(5, 4, 3, 3))
    yield "output padding", lambda: F.conv_transpose2d(x, torch.zeros(4, 4, 3, 3), output_padding=1)
    yield "transposed bias", lambda: F.conv_transpose2d(x, torch.zeros(4, 4, 3, 3), torch.zeros(5))
    yield "transposed to nothing", lambda: F.conv_transpose2d(x, torch.zeros(4, 4, 1, 1), padding=9)
    yield "sparse", lambda: F.conv2d(x.to_sparse(), w)
    yield "gradient's size", lambda: torch.ops.aten.convolution_backward(
        torch.zeros(2, 6, 3, 3), x, w, [6], [1], [0], [1], False, [0], 1, [True, True, True]
    )  # fmt: skip


@pytest.mark.parametrize(("compute"), dict(_mistakes()).values(), ids=dict(_mistakes()).keys())
def test_mistakes_are_torchs_to_name(compute: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, TypeError, NotImplementedError)) as theirs:
        by_torch(compute)
    with pytest.raises(theirs.type) as ours:
        by_tatamu(compute)
    assert str(ours.value) == str(theirs.value)
    assert ours.type is theirs.type


# ---- The dispatcher itself.


def test_nothing_is_said_when_kernels_are_replaced() -> None:
    """Nor is the CUDA kernel of a torch that has one left out; -W error is on."""
    program = """
        import torch
        with torch.library._scoped_library("aten", "IMPL") as earlier:
            earlier.impl("convolution_backward", torch.library.get_kernel(
                "aten::convolution_backward", "CPU"
            ).call_boxed, "CPU", with_keyset=True)
            torch.version.cuda = "13.0"
            import tatamu
            tatamu.enable()
            print(tatamu.status().devices)
            x = torch.ones(1, 1, 3, 3, requires_grad=True)
            torch.nn.functional.conv2d(x, torch.ones(1, 1, 2, 2)).sum().backward()
            print(x.grad[0, 0, 1, 1].item(), tatamu.status().backward)
            kernel = torch._C._dispatch_has_kernel_for_dispatch_key
            print([kernel(f"aten::{name}", "CUDA") for name in ("_convolution", "convolution_backward")])
    """
    child = children.start(program)
    output = children.finish(child)
    assert output.splitlines() == ["('cpu', 'cuda')", "4.0 1", "[True, True]"]


@pytest.mark.usefixtures("on")
def test_precision_is_heeded_at_each_call() -> None:
    """Also by calls like one before."""
    x, w = image(2, 64, 20, 20, dtype=torch.float32), image(64, 64, 3, 3, dtype=torch.float32)
    try:
        high = gradients(F.conv2d, x, w)
        tatamu.set_precision("highest")
        highest = gradients(F.conv2d, x, w)
        assert not torch.equal(high[0], highest[0])
        assert not torch.equal(high[1], highest[1])
        tatamu.set_precision("high")
        assert all(torch.equal(a, b) for a, b in zip(gradients(F.conv2d, x, w), high, strict=True))
    finally:
        tatamu.set_precision("high")


@pytest.mark.usefixtures("on")
def test_weights_that_change_unnoticed_count_at_once() -> None:
    """Large enough to be kept packed, and changed without a trace in version counters."""
    x, layer = image(1, 64, 80, 80, dtype=torch.float32), nn.Conv2d(64, 64, 3, padding=1)
    with torch.no_grad():
        for _ in range(4):
            layer(x)
        assert reuse.kept_bytes() > 0, "else nothing is kept"
        layer.weight.data.mul_(2)
        layer.bias.data.mul_(2)
        changed = layer(x)
        fresh = F.conv2d(x, layer.weight.clone(), layer.bias.clone(), padding=1)
    assert torch.equal(changed, fresh)
