"""When kernels are compiled: once, by one thread at a time, never across a fork, and not for a new size.

That every layer has one kernel for all sizes is tested in ../lowering/test_sizes.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import children
from engine.calls import lower, new_result
from engine.cases import Case
from tatamu import launch
from tatamu.engine.runtime import jit
from tatamu.engine.target import Target, host
from tatamu.geometry import Axis, Convolution, Geometry


def test_threads_that_want_one_kernel_compile_it_once(
    folder: Path, start_process: Callable[[], None], compiled: list[str]
) -> None:
    start_process()
    it = Case(Geometry(2, 3, 5, 1, Axis(6, 3), Axis(7, 3))).operands(torch.float32)
    kernel = lower("grad_bias", it, new_result("grad_bias", it, False), host()).kernel
    found: list[object] = []
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait()
        found.append(jit.function(kernel, host()))

    workers = [threading.Thread(target=ask) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert len(compiled) == 1
    assert len(list(folder.iterdir())) == 1


def test_a_fork_while_another_thread_compiles(tmp_path: Path) -> None:
    output = children.run(
        """
        import os
        import threading
        import torch
        import tatamu
        from tatamu.engine.runtime import jit
        begun, emit = threading.Event(), jit.emit_objects
        def emit_objects(*what):
            begun.set()
            return emit(*what)
        jit.emit_objects = emit_objects
        layer, x = tatamu.Conv2d(4, 5, 3), torch.randn(1, 4, 9, 9)
        compiling = threading.Thread(target=layer, args=(x,))
        compiling.start()
        begun.wait()
        child = os.fork()
        if child == 0:  # It needs this kernel, and then one that is still to be compiled.
            y, precise = layer(x), layer.double()(x.double())
            os._exit(0 if torch.allclose(y.double(), precise, atol=1e-5) else 1)
        compiling.join()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        TATAMU_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert output == "0\n"


LAYERS = [(16, 24, 1, 3, 1), (16, 24, 1, 1, 1), (16, 16, 16, 3, 2), (3, 64, 1, 7, 2)]
"""Input channels, output channels, groups, kernel size, stride."""


@pytest.fixture
def linked(start_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that are not yet in the process; the list grows with the calls."""
    start_process()
    monkeypatch.setattr(launch, "_prepared", {})
    linked: list[str] = []
    link = jit._link

    def counted(kernel: jit.Kernel, target: Target) -> object:
        linked.append(kernel.name(target))
        return link(kernel, target)

    monkeypatch.setattr(jit, "_link", counted)
    return linked


def compute(layer: tuple[int, int, int, int, int], n: int, h: int, w: int) -> None:
    """All passes of a layer."""
    channels, filters, groups, kernel, stride = layer
    around = (kernel // 2, kernel // 2)
    how = Convolution((stride, stride), (around, around), (1, 1), groups)
    weight = torch.randn(filters, channels // groups, kernel, kernel)
    x = torch.randn(n, channels, h, w)
    y = launch.forward(x, weight, None, how)
    launch.grad_input(y, weight, (n, channels, h, w), how, False)
    launch.grad_weight(y, x, (filters, channels // groups, kernel, kernel), how, False)
    launch.grad_bias(y)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_new_sizes_of_a_layer_compile_nothing(
    layer: tuple[int, int, int, int, int], linked: list[str]
) -> None:
    compute(layer, 2, 31, 33)
    assert linked
    linked.clear()
    for n, h, w in ((2, 32, 32), (1, 97, 40), (5, 12, 130), (16, 24, 24), (16, 8, 8), (1, 7, 9)):
        compute(layer, n, h, w)
        assert linked == [], f"for {n} images of {h}x{w}"


@pytest.mark.parametrize("channels", [(16, 16), (16, 24), (32, 64), (96, 96), (256, 256)], ids=str)
def test_no_size_of_a_3x3_layer_compiles_another_kernel(channels: tuple[int, int], linked: list[str]) -> None:
    layer = (*channels, 1, 3, 1)
    compute(layer, 1, 30, 30)
    assert len(linked) >= 3
    linked.clear()
    for n, h, w in ((1, 4, 4), (1, 5, 5), (1, 7, 7), (16, 4, 4), (16, 7, 7), (3, 14, 14), (1, 9, 41)):
        compute(layer, n, h, w)
        assert linked == [], f"for {n} images of {h}x{w}"
    if max(channels) <= 32:
        for n, size in ((1, 224), (16, 56)):
            compute(layer, n, size, size)
            assert linked == [], f"for {n} images of {size}x{size}"
