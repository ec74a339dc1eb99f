"""torch.func, fake tensors, compilation, export: by value, against torch's convolution."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor, func
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree

import tatamu
from tatamu import functional, launch

# torch's own, from what it loads when forward mode is first used and when it compiles.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}

Conv = Callable[..., Tensor]


def ours(padding_mode: str = "zeros", **arguments: Any) -> Conv:
    given = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1} | arguments
    return lambda x, w, b=None: functional.convolution(x, w, b, padding_mode=padding_mode, **given)


def torchs(padding_mode: str = "zeros", **arguments: Any) -> Conv:
    given = {"padding": 1} | arguments
    amount = given.pop("padding")

    def conv(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return torch_functional.conv2d(
            torch_functional.pad(x, (amount,) * 4, MODES[padding_mode]), w, b, **given
        )

    return conv


CASES: list[dict[str, Any]] = [{}, {"stride": 2, "groups": 2, "padding_mode": "circular"}]


def operands(groups: int = 1, **_: Any) -> tuple[Tensor, Tensor, Tensor]:
    sizes = (2, 2, 5, 4), (4, 2 // groups, 3, 3), (4,)
    x, w, b = (torch.randn(size, dtype=torch.float64) for size in sizes)
    return x, w, b


def assert_same(actual: object, expected: object) -> None:
    torch.testing.assert_close(_pytree.tree_leaves(actual), _pytree.tree_leaves(expected))


def directions(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(
        torch.linspace(-1, 1, tensor.numel(), dtype=tensor.dtype).view_as(tensor) for tensor in tensors
    )


PROGRAMS: dict[str, Callable[[Conv], Callable[..., Any]]] = {
    "value": lambda conv: conv,
    "jvp": lambda conv: lambda *t: func.jvp(conv, t, directions(*t)),
    "jvp of the bias": lambda conv: lambda x, w, b: func.jvp(lambda b: conv(x, w, b), (b,), directions(b)),
    "jvp of input and bias": lambda conv: (
        lambda x, w, b: func.jvp(lambda x, b: conv(x, w, b), (x, b), directions(x, b))
    ),
    "vjp": lambda conv: lambda *t: func.vjp(conv, *t)[1](conv(*t)),
    "grad": lambda conv: func.grad(lambda *t: conv(*t).pow(3).sum(), (0, 1, 2)),
    "per-sample gradients": lambda conv: (
        lambda x, w, b: func.vmap(
            func.grad(lambda w, b, x: conv(x[None], w, b).pow(3).sum(), (0, 1)), (None, None, 0)
        )(w, b, x)
    ),
    "jacfwd": lambda conv: func.jacfwd(conv, (0, 1, 2)),
    "jacrev": lambda conv: func.jacrev(conv, (0, 1, 2)),
    "hessian": lambda conv: (
        lambda x, w, b: func.hessian(lambda w, b: conv(x, w, b).pow(3).sum(), (0, 1))(w, b)
    ),
    "jvp of grad": lambda conv: (
        lambda *t: func.jvp(func.grad(lambda *t: conv(*t).pow(3).sum(), (0, 1, 2)), t, directions(*t))
    ),
    "grad of jvp": lambda conv: (
        func.grad(lambda *t: func.jvp(conv, t, directions(*t))[1].pow(2).sum(), (0, 1, 2))
    ),
    "vmap over weights": lambda conv: lambda x, w, b: func.vmap(conv, (None, 0, 0))(
        x, torch.stack([w, -w]), torch.stack([b, 2 * b])
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_torch_func(program: str, case: dict[str, Any]) -> None:
    tensors, make = operands(**case), PROGRAMS[program]
    assert_same(make(ours(**case))(*tensors), make(torchs(**case))(*tensors))


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize(
    ("program", "dynamic"),
    # Symbolic sizes where each derivative occurs once: Jacobians only take the compiler longer.
    [(program, False) for program in PROGRAMS]
    + [(program, True) for program in PROGRAMS if not program.startswith(("jac", "hess"))],
)
def test_torch_func_compiled(program: str, dynamic: bool) -> None:
    case, make = CASES[1], PROGRAMS[program]
    tensors = operands(**case)
    compiled = torch.compile(make(ours(**case)), fullgraph=True, backend="aot_eager", dynamic=dynamic)
    assert_same(compiled(*tensors), make(torchs(**case))(*tensors))


@pytest.mark.parametrize(
    "dims",
    [d for d in product((None, 0, 1), (None, 0, 2), (None, 0)) if any(x is not None for x in d)],
    ids=str,
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_vmap_is_one_call_of_the_kernel(
    dims: tuple[int | None, ...], case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = operands(**case)
    batched = [
        tensor if dim is None else torch.stack([tensor, tensor * 2, -tensor], dim)
        for tensor, dim in zip(tensors, dims, strict=True)
    ]
    calls: list[object] = []
    forward = launch.forward
    monkeypatch.setattr(launch, "forward", lambda *rest: calls.append(rest) or forward(*rest))
    actual = func.vmap(ours(**case), dims)(*batched)
    assert len(calls) == 1
    assert_same(actual, func.vmap(torchs(**case), dims)(*batched))


@pytest.mark.parametrize("dims", [(0, None), (None, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_vmap_of_gradients_is_one_call_of_each_kernel(
    dims: tuple[int | None, ...], case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of grad_input and grad_weight themselves, so that each operand alone is batched too.
    x, w, _ = operands(**case)
    grad = torch.randn_like(torchs(**case)(x, w))

    def both(conv: Conv) -> Callable[..., Any]:
        return lambda grad, other: (
            func.vjp(lambda x: conv(x, other * w), x)[1](grad),
            func.vjp(lambda w: conv(other * x, w), w)[1](grad),
        )

    batched = [
        tensor if dim is None else torch.stack([tensor, tensor * 2, -tensor], dim)
        for tensor, dim in zip((grad, torch.tensor(1.5, dtype=torch.float64)), dims, strict=True)
    ]
    calls: list[str] = []
    for name in ("grad_input", "grad_weight"):
        kernel = getattr(launch, name)
        monkeypatch.setattr(
            launch, name, lambda *rest, name=name, kernel=kernel: calls.append(name) or kernel(*rest)
        )
    actual = func.vmap(both(ours(**case)), dims)(*batched)
    assert calls == ["grad_input", "grad_weight"]
    assert_same(actual, func.vmap(both(torchs(**case)), dims)(*batched))


def test_nested_vmap() -> None:
    x, w, b = operands()
    many = torch.stack([x, -x, 3 * x]), torch.stack([w, 2 * w]), torch.stack([b, 2 * b])
    for inner, outer in product([(0, None, None), (None, 0, 0)], repeat=2):
        if inner == outer:
            continue
        results = [func.vmap(func.vmap(conv, inner), outer)(*many) for conv in (ours(), torchs())]
        assert_same(*results)


def test_ensembles_of_layers() -> None:
    layers = [tatamu.Conv2d(2, 3, 3, padding=1, padding_mode="reflect") for _ in range(3)]
    parameters, buffers = func.stack_module_state(layers)
    x = torch.randn(2, 2, 5, 5)
    actual = func.vmap(lambda p, b: func.functional_call(layers[0], (p, b), (x,)))(parameters, buffers)
    assert_same(actual, torch.stack([layer(x) for layer in layers]))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.usefixtures("_fresh_compiler")
def test_dual_numbers(compiled: bool) -> None:
    x, w, _ = operands()
    tangent = torch.randn_like(x)

    def tangents(conv: Conv) -> Callable[..., Any]:
        def run(x: Tensor, w: Tensor) -> Any:
            with forward_ad.dual_level():
                return tuple(forward_ad.unpack_dual(conv(forward_ad.make_dual(x, tangent), w)))

        return run

    run = tangents(ours())
    assert_same(
        (torch.compile(run, backend="aot_eager") if compiled else run)(x, w), tangents(torchs())(x, w)
    )
    # Duals that come into compiled code from outside.
    with forward_ad.dual_level():
        conv = torch.compile(ours(), backend="aot_eager") if compiled else ours()
        assert_same(
            forward_ad.unpack_dual(conv(forward_ad.make_dual(x, tangent), w)).tangent, torchs()(tangent, w)
        )


def trained(
    model: torch.nn.Module, call: Callable[[Tensor], Tensor], x: Tensor, symbolic: tuple[int, ...] = ()
) -> list[Tensor]:
    x = x.clone().requires_grad_()
    for dim in symbolic:
        torch._dynamo.mark_dynamic(x, dim)
    model.zero_grad()
    output = call(x)
    output.pow(2).sum().backward()
    return [output.detach(), x.grad, *(parameter.grad.clone() for parameter in model.parameters())]


def small_model(layer: type[torch.nn.Conv2d], **arguments: Any) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        layer(2, 4, 3, padding=1, padding_mode="circular"),
        torch.nn.ReLU(),
        layer(4, 4, 3, 2, groups=2, **arguments),
    ).double()


@pytest.mark.usefixtures("_fresh_compiler")
def test_one_compiled_model_trains_on_all_sizes() -> None:
    model, reference = small_model(tatamu.Conv2d), small_model(torch.nn.Conv2d)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for n, h, w in ((2, 6, 5), (3, 8, 9), (4, 7, 11), (5, 12, 6)):
        x = torch.randn(n, 2, h, w, dtype=torch.float64)
        assert_same(trained(model, compiled, x, symbolic=(0, 2, 3)), trained(reference, reference, x))
    assert counter.frame_count == 1


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("padding", ["same_upper", "same_lower", ((1, 0), (2, 1))], ids=str)
def test_paddings_of_our_own_compiled_for_symbolic_sizes(padding: Any) -> None:
    model = small_model(tatamu.Conv2d, padding=padding)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    for h, w in ((6, 5), (9, 8), (7, 7)):
        x = torch.randn(2, 2, h, w, dtype=torch.float64)
        assert_same(trained(model, compiled, x), trained(model, model, x))


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch's default compiler backend takes a C++ compiler"
)
def test_torchs_default_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = small_model(tatamu.Conv2d).to(memory_format=torch.channels_last)
    x = torch.randn(2, 2, 6, 5, dtype=torch.float64).to(memory_format=torch.channels_last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the compiler's own making, and not about what it compiles.
        compiled = torch.compile(model, fullgraph=True)
        actual = trained(model, compiled, x)
    assert_same(actual, trained(model, model, x))


@pytest.mark.usefixtures("_fresh_compiler")
def test_compiled_autocast() -> None:
    model, x = small_model(tatamu.Conv2d).float(), torch.randn(2, 2, 6, 5)

    def run(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(x)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    assert compiled(x).dtype == torch.bfloat16
    assert torch.equal(compiled(x), run(x))


@pytest.mark.usefixtures("_fresh_compiler")
def test_a_mistake_in_compiled_code_is_an_error() -> None:
    compiled = torch.compile(tatamu.Conv2d(2, 3, 3), backend="aot_eager")
    with pytest.raises(RuntimeError, match="to have 2 channels, but got 4 channels"):
        compiled(torch.randn(1, 4, 5, 5))


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.filterwarnings(
    "ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"
)  # torch's own use.
@pytest.mark.parametrize("padding", [1, "same_upper"])
@pytest.mark.parametrize("strict", [False, True])
def test_export_with_dynamic_dimensions(strict: bool, padding: Any, tmp_path: Path) -> None:
    model = small_model(tatamu.Conv2d, padding=padding)
    # With a stride 'same_upper' divides with a remainder, about which torch cannot prove what it has named
    # dimensions proved.
    named = {
        0: torch.export.Dim("n", min=2),
        2: torch.export.Dim("h", min=3),
        3: torch.export.Dim("w", min=3),
    }
    sizes = named if padding == 1 else dict.fromkeys(named, torch.export.Dim.AUTO)
    example = torch.randn(3, 2, 8, 9, dtype=torch.float64)
    exported = torch.export.export(model, (example,), dynamic_shapes=(sizes,), strict=strict)
    called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert "tatamu.convolution.default" in called
    assert not any("aten.conv" in name or "pad" in name for name in called)
    torch.export.save(exported, tmp_path / "model.pt2")
    for program in (exported, exported.run_decompositions(), torch.export.load(tmp_path / "model.pt2")):
        for n, h, w in ((2, 3, 4), (5, 11, 6)):
            x = torch.randn(n, 2, h, w, dtype=torch.float64)
            assert_same(program.module()(x), model(x))


def layouts(*size: int) -> list[Tensor]:
    tensor = torch.randn(size)
    return [
        tensor,
        tensor.to(memory_format=torch.channels_last),
        tensor.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        tensor.to(memory_format=torch.channels_last)[:, :, 1:],
    ]


@pytest.mark.parametrize(
    "sizes",
    [((2, 4, 6, 5), (3, 4, 3, 2)), ((2, 1, 6, 5), (3, 1, 3, 3)), ((0, 4, 6, 5), (3, 4, 3, 3))],
    ids=str,
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_fake_strides_are_real_ones(sizes: tuple[tuple[int, ...], ...], symbolic: bool) -> None:
    for x, w in product(*(layouts(*size) for size in sizes)):
        real = strides(x, w)
        mode = FakeTensorMode(
            shape_env=torch.fx.experimental.symbolic_shapes.ShapeEnv() if symbolic else None
        )
        fakes = [mode.from_tensor(tensor.clone() if tensor.numel() == 0 else tensor) for tensor in (x, w)]
        with mode:
            fake = strides(*fakes)
        assert fake == real
        # torch's fakes say the same of its own convolution, where a batch is not empty.
        if x.numel():
            assert fake[:1] == strides(x, w, torch_functional.conv2d)[:1]


def strides(
    x: Tensor, w: Tensor, conv: Conv = tatamu.conv2d
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Sizes and strides of the output and both gradients."""
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    output = conv(x, w, stride=2, padding=1)
    results = output, *torch.autograd.grad(output, (x, w), torch.ones_like(output))
    return [(tuple(map(int, t.shape)), tuple(map(int, t.stride()))) for t in results]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_meta_tensors_have_sizes_and_gradients(case: dict[str, Any]) -> None:
    real = [tensor.requires_grad_() for tensor in operands(**case)]
    meta = [tensor.detach().to("meta").requires_grad_() for tensor in real]
    for one, other in zip(*(
        (output, *torch.autograd.grad(output.sum(), tensors))
        for tensors in (real, meta) for output in [ours(**case)(*tensors)]
    ), strict=True):  # fmt: skip
        assert one.shape == other.shape
        assert one.stride() == other.stride()
        assert other.is_meta


def test_make_fx_records_operators() -> None:
    x, w, b = operands()
    graph = make_fx(func.grad(lambda w: ours()(x, w, b).pow(2).sum()))(w)
    names = {str(node.target) for node in graph.graph.nodes}
    assert {"tatamu.convolution.default", "tatamu.grad_weight.default"} <= names
    assert "tatamu.grad_input.default" not in names
    assert_same(graph(2 * w), func.grad(lambda w: torchs()(x, w, b).pow(2).sum())(2 * w))


@pytest.mark.parametrize("grad", [False, True])
def test_torchs_own_checks_of_the_operators(grad: bool) -> None:
    x, w, b = (tensor.requires_grad_(grad) for tensor in operands(2))
    convolution = [[2, 1], [1, 0, 2, 1], [1, 2], 2, "reflect"]
    operators = torch.ops.tatamu
    output = operators.convolution(x, w, b, *convolution).detach().requires_grad_(grad)
    for operator, arguments in (
        (operators.convolution, (x, w, b, *convolution)),
        (operators.grad_input, (output, w, list(x.shape), *convolution, False)),
        (operators.grad_weight, (output, x, list(w.shape), *convolution, True)),
        (operators.grad_bias, (output,)),
    ):
        torch.library.opcheck(operator.default, arguments)
