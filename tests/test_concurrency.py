"""One layer in many threads, and in processes that were forked after it has computed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

import children
from tatamu import Conv2d
from tatamu.engine import execute

THREADS = 8
TURNS = 5


def passes(layer: Conv2d, x: Tensor) -> tuple[Tensor, ...]:
    """The output, and the gradients of input, weight and bias."""
    x = x.clone().requires_grad_()
    y = layer(x)
    assert layer.bias is not None
    return (y.detach(), *torch.autograd.grad(y, (x, layer.weight, layer.bias), torch.cos(y.detach())))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("omp_threads", [1, 2])
def test_eight_threads_on_one_layer(
    omp_threads: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit what one thread computes, each on inputs of its own, of several sizes."""
    monkeypatch.setattr(execute, "WORTH_A_THREAD", 1)
    torch.set_num_threads(omp_threads)
    layer = Conv2d(6, 10, 3, padding=1, dtype=dtype)
    inputs = [torch.randn(1 + n % 3, 6, 11 + n, 17).to(dtype) for n in range(THREADS)]
    expected = [passes(layer, x) for x in inputs]
    together = threading.Barrier(THREADS)
    failures: list[object] = []

    def work(number: int) -> None:
        try:
            torch.set_num_threads(omp_threads)  # torch's count is a thread's own.
            together.wait()
            for _ in range(TURNS):
                for result, right in zip(passes(layer, inputs[number]), expected[number], strict=True):
                    if not torch.equal(result, right):
                        failures.append((number, result, right))
        except BaseException as error:  # noqa: BLE001  # Whatever it is, it must reach the test's own thread.
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_a_forked_child_computes(tmp_path: Path) -> None:
    """Where the parent has computed on two threads; in kernels it knows and in new ones, both directions."""
    output = children.run(
        """
        import os
        import torch
        from tatamu import Conv2d
        torch.set_num_threads(2)
        x, grad = torch.randn(2, 16, 40, 40), torch.randn(2, 32, 38, 38)
        layer = Conv2d(16, 32, 3)
        def passes(layer, x, grad):
            y = layer(x.requires_grad_())
            return y, *torch.autograd.grad(y, (x, *layer.parameters()), grad)
        expected = passes(layer, x, grad)
        precise = Conv2d(16, 32, 3, dtype=torch.float64), x.detach().double(), grad.double()
        precise[0].load_state_dict(layer.state_dict())
        child = os.fork()
        if child == 0:
            results, new = passes(layer, x, grad), passes(*precise)
            torch.set_num_threads(1)  # torch's own functions would wait for torch's own threads.
            same = all(map(torch.equal, results, expected))
            right = all(torch.allclose(a.double(), b, rtol=1e-3, atol=1e-2) for a, b in zip(expected, new))
            os._exit(0 if same and right else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        TATAMU_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert output == "0\n"


def test_the_workers_of_a_data_loader_compute(tmp_path: Path) -> None:
    output = children.run(
        """
        import torch
        from torch.utils.data import DataLoader, Dataset
        from tatamu import Conv2d
        torch.set_num_threads(2)
        layer = Conv2d(16, 32, 3).requires_grad_(False)
        images = torch.randn(6, 16, 40, 40)
        expected = layer(images)
        class Features(Dataset):
            def __len__(self):
                return len(images)
            def __getitem__(self, index):
                torch.set_num_threads(2)  # More than a worker may have: torch itself would hang.
                y = layer(images[index])
                torch.set_num_threads(1)
                return y
        for _ in range(2):
            loader = DataLoader(Features(), batch_size=2, num_workers=2, multiprocessing_context="fork")
            assert torch.equal(torch.cat(list(loader)), expected)
            assert torch.equal(layer(images), expected)
        print("right")
        """,
        TATAMU_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert output == "right\n"
