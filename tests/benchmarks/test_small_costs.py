"""Memory, overhead and the first call are measured on what they say."""

from __future__ import annotations

import sys

import pytest

from benchmarks import latency, memory, overhead
from benchmarks.case import Case
from benchmarks.layer import load
from children import run


@pytest.mark.skipif(sys.platform != "linux", reason="the figures are of /proc")
def test_memory_beyond_the_output_is_counted() -> None:
    """torch's call that keeps 64 MiB takes them; the output itself does not count."""
    program = """
        import torch
        from dataclasses import replace
        from benchmarks import memory
        from benchmarks.case import Case
        from benchmarks.layer import Layer
        from benchmarks.libraries import LIBRARIES

        kept = []

        def prepare(case, x, w, gy):
            def call():
                if case.layer.network != "none":  # Not in the call that warms up.
                    kept.append(torch.ones(16, 1 << 20))
                return torch.ones(case.geometry.output_size)
            return call

        LIBRARIES["torch"] = replace(LIBRARIES["torch"], prepare=prepare)
        layer = Layer("n", "l", 8, 32, (1, 1), 1, (0, 0), 1, 1, 512, 1)
        print(memory.extra(Case(layer, 1, "forward"), "torch", "NCHW"))
    """
    assert 63 < float(run(program)) < 66


@pytest.mark.skipif(sys.platform != "linux", reason="the figures are of /proc")
def test_memory_is_measured_in_another_process() -> None:
    point = next(it for it in load("known") if it.name == "pointwise-64-256")
    assert memory.in_a_process(Case(point, 1, "forward"), "tatamu", "NCHW", 2) < memory.LIMIT


def test_a_call_is_a_call() -> None:
    found = overhead.run(seconds=0.0)
    assert list(found) == list(overhead.KINDS)
    assert all(1e-6 < it.median < 1e-2 for pair in found.values() for it in pair)


def test_every_kind_of_first_call_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = latency.measure
    monkeypatch.setattr(
        latency,
        "measure",
        lambda cache, program: {"": 1.0} if program is latency.MODEL else measure(cache, program),
    )
    kinds = latency.kinds(1)
    assert {kind for kind, _ in kinds} == set(latency.BARS)
    assert {name for kind, name in kinds if kind == "cached"} == {
        "forward",
        "grad_input",
        "grad_weight",
        "grad_bias",
    }
    assert kinds["cached", "forward"] < kinds["first", "forward"]


@pytest.mark.skipif(sys.platform != "linux", reason="where it is measured")
def test_without_512_bits_everything_of_tatamus_is_generated_for_avx2() -> None:
    program = """
        import torch
        import tatamu
        from tatamu.measuring import machine
        from benchmarks.instructions import leave_512_bits_unused
        from tatamu import launch

        leave_512_bits_unused()
        assert launch.host().name == "avx2"
        assert ", avx2, " in machine.described(1)
        tatamu.conv2d(torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3))
    """
    run(program)
