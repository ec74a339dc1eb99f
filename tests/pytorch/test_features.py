"""What torch does with models: with one made of our layers, one converted, and one with tatamu underneath.

By value, against stock torch. Which of torch's features is proven where: docs/compatibility.md.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, func, fx, nn
from torch.nn.utils import fusion, parametrizations, prune
from torch.profiler import ProfilerActivity, profile
from torch.utils import _pytree, flop_counter
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch.utils.flop_counter import FlopCounterMode

import children
import tatamu
from tatamu.autograd import flops

pytestmark = [
    # torch's own, from what it loads when forward mode is first used and when it compiles.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]
# torch's own use.
OF_EXPORT = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning")


def stock(layer: Callable[..., nn.Module] = nn.Conv2d) -> nn.Sequential:
    """A small network with most of what a layer can be asked for."""
    torch.manual_seed(0)
    return nn.Sequential(
        layer(3, 8, 3, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        layer(8, 8, 3, stride=2, groups=2, dilation=(1, 2), padding=(1, 2), bias=False),
        nn.SiLU(),
        layer(8, 4, (2, 3), padding="valid"),
    ).double()


def images(count: int = 2, height: int = 8, width: int = 9) -> Tensor:
    return torch.randn(count, 3, height, width, dtype=torch.float64)


def convert(model: nn.Module) -> nn.Module:
    assert tatamu.convert(model).changed
    return model


MADE: dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: stock(tatamu.Conv2d),
    "converted": lambda: convert(stock()),
    "enabled": stock,
}


@pytest.fixture(params=MADE)
def model(request: pytest.FixtureRequest) -> Iterator[nn.Module]:
    """The network, computed by tatamu in one of three ways; proven at the end."""
    made, before = MADE[request.param](), tatamu.status().forward
    if request.param != "enabled":
        assert all(type(layer) is tatamu.Conv2d for layer in made if isinstance(layer, nn.Conv2d))
        yield made
        return
    tatamu.enable()
    try:
        yield made
        assert tatamu.status().forward > before
    finally:
        tatamu.disable()


@pytest.fixture
def judge() -> Callable[[Callable[[nn.Module], Any]], Any]:
    """What stock torch makes of a program that takes the network."""

    def run(program: Callable[[nn.Module], Any]) -> Any:
        was_on = tatamu.status().enabled
        tatamu.disable()
        result = program(stock())
        if was_on:
            tatamu.enable()
        return result

    return run


Judge = Callable[[Callable[[nn.Module], Any]], Any]


def assert_same(actual: object, expected: object) -> None:
    actual, expected = _pytree.tree_leaves(actual), _pytree.tree_leaves(expected)
    assert actual
    torch.testing.assert_close(actual, expected)


def trained(model: nn.Module, x: Tensor, call: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
    """The output, and all gradients."""
    x = x.detach().requires_grad_()
    model.zero_grad()
    output = (call or model)(x)
    output.square().sum().backward()
    assert x.grad is not None
    return [output.detach(), x.grad, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_fresh_compiler")
def test_compiled_for_all_sizes(model: nn.Module, judge: Judge) -> None:
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in ((2, 8, 9), (3, 11, 7)):
        x = images(*size)
        model.eval()
        assert_same(trained(model, x, compiled), judge(lambda it, x=x: trained(it.eval(), x)))


@pytest.mark.usefixtures("_fresh_compiler")
@OF_EXPORT
def test_exported_saved_and_loaded(model: nn.Module, judge: Judge, tmp_path: Path) -> None:
    model.eval()
    x = images(3)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2)},))
    torch.export.save(exported, tmp_path / "model.pt2")
    for program in (exported, torch.export.load(tmp_path / "model.pt2"), exported.run_decompositions()):
        x = images(5)
        assert_same(program.module()(x), judge(lambda it, x=x: it.eval()(x)))


def test_fx_traced(model: nn.Module, judge: Judge) -> None:
    traced, x = fx.symbolic_trace(model), images()
    assert_same(trained(traced, x), judge(lambda it: trained(it, x)))


@OF_EXPORT
@pytest.mark.parametrize("how", ["reverted", "enabled"])
def test_onnx_export(how: str, tmp_path: Path) -> None:
    network = stock().float().eval()
    x = images().float()
    expected = network(x)
    if how == "reverted":
        tatamu.convert(network)
        assert tatamu.revert(network).changed
    else:
        tatamu.enable()
    try:
        batch = {0: torch.export.Dim("n", min=1)}
        torch.onnx.export(network, (x,), tmp_path / "model.onnx", dynamic_shapes=(batch,), verbose=False)
    finally:
        tatamu.disable()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (name,) = [given.name for given in session.get_inputs()]
    (output,) = session.run(None, {name: x.numpy()})
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(model: nn.Module, judge: Judge, dtype: torch.dtype) -> None:
    x = images().float()

    def program(network: nn.Module) -> list[Tensor]:
        def call(x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=dtype):
                output: Tensor = network(x)
            assert output.dtype == dtype
            return output.float()

        return trained(network.float().eval(), x, call)

    actual = program(model)
    assert {tensor.dtype for tensor in actual} == {torch.float32}
    exact = judge(lambda it: trained(it.eval(), x.double()))
    for one, wide, tensor in zip(actual, exact, judge(program), strict=True):
        # As near to float64 as torch comes, times two, and a rounding of the dtype.
        error = (tensor.double() - wide).norm()
        assert (one.double() - wide).norm() <= 2 * error + torch.finfo(dtype).eps * wide.norm()


PROGRAMS: dict[str, Callable[[Callable[..., Tensor], dict[str, Tensor], Tensor], Any]] = {
    "grad": lambda call, p, x: func.grad(lambda p: call(p, x).square().sum())(p),
    "vmap": lambda call, p, x: func.vmap(lambda x: call(p, x))(torch.stack([x, -x])),
    "jacrev": lambda call, p, x: func.jacrev(lambda x: call(p, x))(x[:1, :, :5, :5]),
    "jacfwd": lambda call, p, x: func.jacfwd(lambda x: call(p, x))(x[:1, :, :5, :5]),
    "per-sample gradients": lambda call, p, x: func.vmap(
        func.grad(lambda p, x: call(p, x[None]).square().sum()), (None, 0)
    )(p, x),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_torch_func(model: nn.Module, judge: Judge, program: str) -> None:
    x = images()

    def run(network: nn.Module) -> Any:
        network.eval()
        buffers = dict(network.named_buffers())
        parameters = {name: p.detach() for name, p in network.named_parameters()}
        return PROGRAMS[program](
            lambda p, x: func.functional_call(network, {**p, **buffers}, (x,)), parameters, x
        )

    assert_same(run(model), judge(run))


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(model: nn.Module, judge: Judge, reentrant: bool) -> None:
    x = images()

    def program(network: nn.Module) -> list[list[Tensor]]:
        network.eval()
        return [
            trained(network, x, lambda x: checkpoint(network, x, use_reentrant=reentrant)),
            trained(network, x, lambda x: checkpoint_sequential(network, 2, x, use_reentrant=reentrant)),
        ]

    assert_same(program(model), judge(program))


def test_pickled_copied_and_saved(model: nn.Module, tmp_path: Path) -> None:
    model.eval()
    x = images()
    expected = model(x)
    torch.save(model, tmp_path / "model.pt")
    for again in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(tmp_path / "model.pt", weights_only=False),
    ):
        assert [type(layer) for layer in again] == [type(layer) for layer in model]
        assert torch.equal(again(x), expected)
        assert all(torch.equal(*both) for both in zip(trained(again, x), trained(model, x), strict=True))


def test_weights_go_into_stock_torch_and_come_back(model: nn.Module, judge: Judge) -> None:
    x, file = images(), io.BytesIO()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    torch.save(model.state_dict(), file)
    file.seek(0)
    weights = torch.load(file, weights_only=True)

    def program(network: nn.Module) -> list[Tensor]:
        assert network.load_state_dict(weights) == ([], [])
        return trained(network.eval(), x)

    assert_same(trained(model.eval(), x), judge(program))
    weights = judge(lambda it: it.state_dict())
    assert_same(program(model), judge(program))


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", amount=0.5),
    "structured pruning": lambda layer: prune.ln_structured(layer, "weight", amount=0.5, n=2, dim=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_norms_and_pruning(model: nn.Module, judge: Judge, change: str) -> None:
    x = images()

    def program(network: nn.Module) -> list[Tensor]:
        torch.manual_seed(2)
        CHANGES[change](network[3])
        network.eval()
        results = trained(network, x)
        if "pruning" in change:
            prune.remove(network[3], "weight")
        else:
            nn.utils.parametrize.remove_parametrizations(network[3], "weight")
        return [*results, *trained(network, x)]

    assert_same(program(model), judge(program))


def test_batch_norm_is_fused(model: nn.Module) -> None:
    model.eval()
    x = images()
    fused = fusion.fuse_conv_bn_eval(model[0], model[1])
    assert type(fused) is type(model[0])
    assert_same(fused(x), model[1](model[0](x)))


@pytest.mark.parametrize("groups", [1, 2])
def test_flop_counter(groups: int) -> None:
    """As torch counts its own, but for gradients of weights in groups, which it counts `groups` times."""
    counts: dict[str, dict[str, int]] = {}
    for name, layer in (("ours", tatamu.Conv2d), ("torch", nn.Conv2d)):
        made, x = layer(4, 6, (3, 2), 2, 1, groups=groups), torch.randn(2, 4, 9, 8, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            made(x).sum().backward()
        counts[name] = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
        assert "Conv2d" in counter.get_flop_counts()
    once = counts["torch"]["aten.convolution"]
    assert counts["ours"] == {
        "tatamu.convolution": once,
        "tatamu.grad_input": once,
        "tatamu.grad_weight": once,
    }
    assert counts["torch"]["aten.convolution_backward"] == (1 + groups) * once


def test_a_flop_counter_that_is_imported_later() -> None:
    output = children.run("""
        import sys
        import torch
        import tatamu
        print("torch.utils.flop_counter" in sys.modules)
        from torch.utils.flop_counter import FlopCounterMode
        with FlopCounterMode(display=False) as counter:
            tatamu.Conv2d(1, 2, 3)(torch.empty(1, 1, 5, 5))
        print(counter.get_total_flops())
    """)
    assert output == f"False\n{2 * 2 * 9 * 9}\n"


def test_a_flop_counter_that_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flop_counter, "flop_registry", {})
    flops.register()
    assert len(flop_counter.flop_registry) == 3


def test_profiler_names(model: nn.Module) -> None:
    """Each pass is one event, with the operator's name and the sizes of its operands."""
    x = images()
    model.eval()
    for _ in range(2):  # Once on the way to be known, once known.
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
            trained(model, x)
        events = [(event.name, event.input_shapes) for event in trace.events()]
        names = [name for name, _ in events]
        if isinstance(model[0], tatamu.Conv2d):
            for name in ("convolution", "grad_input", "grad_weight"):
                assert names.count(f"tatamu::{name}") == 3
            assert names.count("tatamu::grad_bias") == 2
            assert ("tatamu::convolution", [[2, 3, 8, 9], [8, 3, 3, 3], [8]]) in events
        else:
            assert names.count("aten::convolution") == 3
            assert names.count("aten::convolution_backward") == 3
            assert not any("mkldnn" in name or "thnn" in name or "slow" in name for name in names)


def test_profiler_names_of_a_frozen_model() -> None:
    frozen, x = tatamu.freeze(stock(tatamu.Conv2d).eval()), images()
    for _ in range(2):
        with profile(activities=[ProfilerActivity.CPU]) as trace, torch.no_grad():
            frozen(x)
        assert [event.name for event in trace.events()].count("tatamu::convolution") == 3


def test_operators_may_be_captured_into_cuda_graphs() -> None:
    """No size depends on values, no argument is written to or returned, none is marked as unfit for one."""
    forbidden = {
        torch.Tag.cudagraph_unsafe,
        torch.Tag.data_dependent_output,
        torch.Tag.dynamic_output_shape,
        torch.Tag.nondeterministic_seeded,
    }
    for name in ("convolution", "grad_input", "grad_weight", "grad_bias"):
        operator = getattr(torch.ops.tatamu, name).default
        assert not forbidden & set(operator.tags)
        assert torch.Tag.pt2_compliant_tag in operator.tags
        assert not operator._schema.is_mutable
        assert all(it.alias_info is None for it in (*operator._schema.arguments, *operator._schema.returns))


@pytest.mark.filterwarnings("ignore:(?s).*quantized tensor creation functions.*deprecated")  # torch's.
def test_quantised_and_sparse_convolutions_stay_torchs() -> None:
    x, w = torch.randn(1, 4, 6, 6), torch.randn(3, 4, 3, 3)

    def quantised() -> Tensor:
        pixels = torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)
        weight = torch.quantize_per_tensor(w, 0.1, 0, torch.qint8)
        packed = torch.ops.quantized.conv2d_prepack(weight, None, [1, 1], [0, 0], [1, 1], 1)
        output: Tensor = torch.ops.quantized.conv2d(pixels, packed, 0.1, 0).dequantize()
        return output

    expected, before = quantised(), tatamu.status().forward
    with tatamu.enabled():
        assert torch.equal(quantised(), expected)
    for operands in ((x.to_sparse(), w), (x, w.to_sparse())):  # torch has none for these.
        with pytest.raises(RuntimeError) as of_torch:
            nn.functional.conv2d(*operands)
        with tatamu.enabled(), pytest.raises(type(of_torch.value)) as passed_on:
            nn.functional.conv2d(*operands)
        assert str(passed_on.value) == str(of_torch.value)
    assert tatamu.status().forward == before
