"""On and off: nested, from several threads, in forked workers; and what status says of it."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import children
import tatamu
from adopt.served import counted

F = torch.nn.functional


def convolve() -> Tensor:
    return F.conv2d(torch.ones(1, 2, 5, 5), torch.ones(3, 2, 3, 3))


def test_it_is_on_from_enable_to_disable() -> None:
    tatamu.enable()
    tatamu.enable()
    with counted(1):
        convolve()
    tatamu.disable()
    with counted(0):
        convolve()
    tatamu.disable()
    assert not tatamu.status().enabled


def test_a_block_leaves_it_as_it_was() -> None:
    with tatamu.enabled():
        with tatamu.enabled():
            assert tatamu.status().enabled
        assert tatamu.status().enabled
    assert not tatamu.status().enabled
    tatamu.enable()
    with tatamu.enabled():
        pass
    assert tatamu.status().enabled


def test_a_block_that_fails_ends_too() -> None:
    with pytest.raises(ZeroDivisionError), tatamu.enabled():
        _ = 1 / 0
    assert not tatamu.status().enabled


def test_inside_a_block_both_count() -> None:
    with tatamu.enabled():
        tatamu.enable()
    assert tatamu.status().enabled
    with tatamu.enabled():
        tatamu.disable()
        assert not tatamu.status().enabled
    assert not tatamu.status().enabled


def test_blocks_of_two_threads_overlap() -> None:
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def first() -> None:
        with tatamu.enabled():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with tatamu.enabled():
            second_in.set()
            first_out.wait(10)
            seen.append(tatamu.status().enabled)

    threads = [threading.Thread(target=it) for it in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True]
    assert not tatamu.status().enabled


@pytest.mark.usefixtures("on")
def test_counts_are_exact_in_threads() -> None:
    def run() -> None:
        for _ in range(200):
            convolve()

    threads = [threading.Thread(target=run) for _ in range(4)]
    with counted(800):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_what_status_says() -> None:
    with tatamu.enabled():
        convolve()
        F.conv1d(torch.ones(1, 2, 5), torch.ones(3, 2, 3))
        text = str(tatamu.status())
        assert text.startswith("tatamu is on (cpu")
        assert " forward, " in text
        assert "(1-D)" in text
    assert str(tatamu.status()).startswith("tatamu is off\n")


def test_off_again_it_is_torchs_bit_for_bit() -> None:
    """In a process of its own: before the first time there was nothing of tatamu in the dispatcher."""
    output = children.run("""
        import torch, tatamu
        x, w = torch.randn(2, 32, 20, 20), torch.randn(32, 32, 3, 3)
        def passes():
            leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
            y = torch.nn.functional.conv2d(*leaves)
            return y, *torch.autograd.grad(y.sin().sum(), leaves)
        def same(ours, theirs):
            return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        before = passes()
        tatamu.enable()
        during = passes()
        tatamu.disable()
        print(same(before, passes()), same(before, during), tatamu.status().forward)
    """)
    assert output == "True False 1\n"


def test_switched_while_another_thread_computes() -> None:
    output = children.run("""
        import threading, time
        import torch, tatamu
        x = torch.randn(1, 3, 8, 8, requires_grad=True)
        w = torch.randn(4, 3, 3, 3)
        def passes():
            y = torch.nn.functional.conv2d(x, w)
            return y.detach(), *torch.autograd.grad(y.sum(), x)
        expected = passes()
        running, wrong, calls = True, [], 0
        def compute():
            global calls
            while running:
                for ours, theirs in zip(passes(), expected, strict=True):
                    if not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4):
                        wrong.append((ours - theirs).abs().max())
                calls += 1
        threads = [threading.Thread(target=compute) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        end = time.monotonic() + 1
        turns = 0
        while time.monotonic() < end or turns < 20:
            tatamu.enable()
            time.sleep(0.001)
            tatamu.disable()
            turns += 1
        running = False
        for thread in threads:
            thread.join()
        served = tatamu.status()
        print(wrong, calls > 20, 0 < served.forward < calls + 1, 0 < served.backward)
    """)
    assert output == "[] True True True\n"


class Convolved(Dataset[Tensor]):
    """What a worker computes, and how many calls were served there."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        before = tatamu.status().forward
        result = F.conv2d(torch.full((1, 2, 5, 5), float(index)), torch.ones(3, 2, 3, 3))
        return torch.stack([result.sum(), torch.tensor(float(tatamu.status().forward - before))])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python's, since 3.12.
@pytest.mark.usefixtures("on")
def test_workers_that_are_forked_inherit_it() -> None:
    convolve()
    loader = DataLoader(Convolved(), batch_size=2, num_workers=2, multiprocessing_context="fork")
    with counted(0):
        sums, served = torch.cat(list(loader)).unbind(1)
    assert sums.tolist() == [18 * 27.0 * index for index in range(4)]
    assert served.tolist() == [1] * 4
