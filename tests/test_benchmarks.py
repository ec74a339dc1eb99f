"""The benchmarks measure real layers, in blocks, and nothing that is wrong."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from benchmarks import __main__ as command
from benchmarks import case, layer, measure
from benchmarks.case import PASSES, Case, Contender
from benchmarks.layer import NETWORKS, Layer
from benchmarks.measure import ROUNDS, Timing
from benchmarks.report import Measured, Row, show_means
from benchmarks.verify import WrongResultError, expected, verify

SMALL = Layer("small", "one", 4, 6, 3, 2, 1, 2, 2, 9, 1)

# Published totals of torchvision's models, less what is no weight of a convolution (linear layers, biases,
# normalisation, layer scale), and multiply-adds in millions, likewise.
PUBLISHED = {
    "resnet50": (25_557_032 - 2_049_000 - 53_120, 4089 - 2),
    "resnext50": (25_028_904 - 2_049_000 - 68_224, 4230 - 2),
    "vgg16": (138_357_544 - 123_642_856 - 4_224, 15_470 - 124),
    "mobilenet_v2": (3_504_872 - 1_281_000 - 34_112, 301 - 1),
    "efficientnet_b0": (5_288_548 - 1_281_000 - 42_016 - 9_340, 386 - 1),
    "convnext_tiny": (28_589_128 - 26_711_656, None),
}


@pytest.mark.parametrize("network", PUBLISHED)
def test_layers_add_up_to_the_published_network(network: str) -> None:
    parameters, millions = PUBLISHED[network]
    layers = layer.load(network)
    assert sum(it.times * it.geometry(1).parameters(bias=False) for it in layers) == parameters
    if millions is not None:
        macs = sum(it.times * it.geometry(1).macs for it in layers)
        assert macs / 1e6 == pytest.approx(millions, abs=1)


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_possible_and_unique(network: str) -> None:
    layers = layer.load(network)
    assert layers
    assert len({it.name for it in layers}) == len({it.geometry(1) for it in layers}) == len(layers)
    for it in layers:
        assert it.in_channels % it.groups == it.out_channels % it.groups == 0
        assert min(it.geometry(1).output_size) > 0


def test_a_layer_of_two_networks_is_measured_once() -> None:
    both = layer.load_all(["resnet50", "resnext50"])
    separate = layer.load("resnet50") + layer.load("resnext50")
    assert len(both) < len(separate)
    assert {it.geometry(1) for it in both} == {it.geometry(1) for it in separate}
    assert both[0].network == "resnet50"
    assert not any(it.network == "resnext50" and it.name == "conv1" for it in both)


def test_a_malformed_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "_FOLDER", tmp_path)
    (tmp_path / "odd.txt").write_text("# name …\nconv1 3 64 7 2 3 1 1 224\n", encoding="utf-8")
    sentence = "line 2 of odd.txt should be a name and nine integers, not 'conv1 3"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        layer.load("odd")


@pytest.mark.parametrize(
    ("it", "text"),
    [
        (SMALL, "3×3 s2 d2 4→6 g2 @9"),
        (Layer("n", "l", 3, 64, 7, 1, 3, 1, 1, 224, 1), "7×7 3→64 @224"),
        (Layer("n", "l", 96, 96, 7, 1, 3, 1, 96, 56, 1), "dw 7×7 96 @56"),
    ],
)
def test_a_layer_says_what_it_computes(it: Layer, text: str) -> None:
    assert str(it) == text


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("direction", PASSES)
def test_what_is_timed_is_the_pass_on_the_whole_batch(direction: str, batch: int) -> None:
    it = Case(SMALL, batch, direction)
    given = case.operands(it, seed=1)
    x, w = given.input.double().requires_grad_(), given.weight.double().requires_grad_()
    y = torch.nn.functional.conv2d(x, w, None, 2, 1, 2, 2)
    gx, gw = torch.autograd.grad(y, (x, w), given.grad_output.double())
    right = {"forward": y, "grad_input": gx, "grad_weight": gw}[direction]
    everyone = list(case.contenders(it, given))
    assert len({(one.library, one.layout) for one in everyone}) == len(everyone) == 4
    for contender in everyone:
        torch.testing.assert_close(contender.call().double(), right, atol=1e-4, rtol=1e-4)
        assert 0 < verify(it, contender, expected(it, given)) < 1e-5


def _one_element_off(y: Tensor) -> Tensor:
    y[-1, -1, -1, -1] += 0.01
    return y


def _not_a_number(y: Tensor) -> Tensor:
    y[0, 0, 0, 0] = torch.nan
    return y


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_one_element_off, "times what rounding explains"),
        (_not_a_number, "inf times what rounding explains"),
        (lambda y: y.roll(1, 0), "times what rounding explains"),
        (lambda y: y.bfloat16().float(), "times what rounding explains"),
        (lambda y: y[:, :, 1:], "not torch.float32"),
        (lambda y: y.double(), "got torch.float64"),
    ],
)
def test_a_wrong_result_is_refused(direction: str, spoil: Callable[[Tensor], Tensor], sentence: str) -> None:
    it = Case(SMALL, 3, direction)
    given = case.operands(it, seed=2)
    right = next(iter(case.contenders(it, given)))
    wrong = Contender("tatamu", "NCHW", lambda: spoil(right.call().clone()))
    with pytest.raises(WrongResultError, match=f"tatamu in NCHW is wrong on small one .*{sentence}"):
        verify(it, wrong, expected(it, given))


class Clock:
    """Time that passes only in calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def call(self, name: str, seconds: float, first: float) -> Callable[[], None]:
        """A call that takes longer when another was before it."""

        def run() -> None:
            self.now += seconds if self.log and self.log[-1] == name else first
            self.log.append(name)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    it = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: it.now)
    monkeypatch.setattr(time, "sleep", lambda _: it.log.append("pause"))
    return it


def _blocks(log: Sequence[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for name in log:
        if name == "pause":
            found.append(("", 0))
        else:
            found[-1] = (name, found[-1][1] + 1)
    return found


def test_calls_are_timed_in_blocks_whose_order_rotates(clock: Clock) -> None:
    calls = [clock.call("a", 0.001, 0.004), clock.call("b", 0.002, 0.008), clock.call("c", 0.050, 0.060)]
    a, b, c = measure.measure(calls, seconds=0.03)
    # Two unmeasured calls, or one where a call is slow, then 0.03 s / 3 rounds.
    assert _blocks(clock.log) == [
        *[("a", 12), ("b", 7), ("c", 2)],
        *[("b", 7), ("c", 2), ("a", 12)],
        *[("c", 2), ("a", 12), ("b", 7)],
    ]
    assert a == Timing(pytest.approx(0.001), pytest.approx(0, abs=1e-9), 10 * ROUNDS)
    assert b == Timing(pytest.approx(0.002), pytest.approx(0, abs=1e-9), 5 * ROUNDS)
    assert c == Timing(pytest.approx(0.050), pytest.approx(0, abs=1e-9), 1 * ROUNDS)


def test_a_timing_is_a_median_and_a_deviation() -> None:
    assert Timing.of([5.0, 1.0, 2.0, 100.0, 4.0]) == Timing(4.0, 2.0, 5)


def test_timings_go_to_the_calls_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    order = [(one.library, one.layout) for one in _everyone()]
    seconds = {key: 1.0 + place for place, key in enumerate(order)}
    monkeypatch.setattr(
        command,
        "measure",
        lambda calls, _: [Timing(seconds[key], 0, 1) for key, _ in zip(order, calls, strict=True)],
    )
    rows = command.run(Case(SMALL, 1, "forward"), 0.001)
    assert [row.layout for row in rows] == ["NCHW", "channels_last"]
    for row in rows:
        assert row.tatamu.timing.median == seconds["tatamu", row.layout]
        assert row.torch.timing.median == seconds["torch", row.layout]


def _everyone() -> list[Contender]:
    it = Case(SMALL, 1, "forward")
    return list(case.contenders(it, case.operands(it, 0)))


def test_means_are_geometric_and_name_the_lowest() -> None:
    rows = [
        Row(Case(it, 1, "forward"), "NCHW", Measured(Timing(1.0, 0, 1), 0), Measured(Timing(ratio, 0, 1), 0))
        for it, ratio in ((SMALL, 8.0), (Layer("n", "l", 5, 5, 1, 1, 0, 1, 1, 7, 1), 2.0))
    ]
    text = io.StringIO()
    show_means(Console(file=text, width=100), rows)
    (line,) = (line for line in text.getvalue().splitlines() if line.strip().startswith("forward"))
    assert line.split() == ["forward", "1", "NCHW", "2", "4.00", "2.00", "1×1", "5→5", "@7"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command's only network is a tiny one; the path is for its CSV."""
    (tmp_path / "tiny.txt").write_text("conv 4 4 3 1 1 1 1 6 1\ndw 4 4 3 1 1 1 4 6 1\n", encoding="utf-8")
    monkeypatch.setattr(layer, "_FOLDER", tmp_path)
    monkeypatch.setattr(command, "NETWORKS", ("tiny",))
    return tmp_path / "out.csv"


def test_the_command_writes_a_row_for_each_call(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--batch", "1", "3", "--seconds", "0.0001", "--csv", str(tiny)]) == 0
    with tiny.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = {tuple(row[key] for key in ("layer", "pass", "batch", "layout", "library")) for row in rows}
    assert len(keys) == len(rows) == 2 * 3 * 2 * 2 * 2
    assert all(float(row["seconds"]) > 0 and 0 < float(row["error"]) < 1e-5 for row in rows)
    out = capsys.readouterr().out
    assert all(f"tiny: {direction}, batch {batch}" in out for direction in PASSES for batch in (1, 3))
    assert "geometric mean" in out


def test_a_wrong_result_is_no_row(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch_conv2d = case.LIBRARIES["torch"]

    def wrong_depthwise(x: Tensor, w: Tensor, *arguments: int) -> Tensor:
        return torch_conv2d(x, w, *arguments) * (1.001 if w.shape[1] == 1 else 1)

    monkeypatch.setitem(case.LIBRARIES, "tatamu", wrong_depthwise)
    options = ["--batch", "1", "--passes", "forward", "--seconds", "0.0001", "--csv", str(tiny)]
    assert command.main(options) == 1
    with tiny.open(encoding="utf-8", newline="") as file:
        assert {row["layer"] for row in csv.DictReader(file)} == {"conv"}
    assert "tatamu in NCHW is wrong on tiny dw" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--batch", "0"], ["--networks", "nonesuch"], ["--passes", "backward"]])
def test_the_command_refuses_what_it_does_not_know(options: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(options)
    assert stopped.value.code == 2
