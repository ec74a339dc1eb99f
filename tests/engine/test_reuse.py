"""What is kept of weights: how much, how long, by whom; never instead of what they are now."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import children
from engine.judges import bits
from tatamu import conv2d, launch
from tatamu.engine import execute, reuse


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    for way in reuse._ways.values():
        way.known.clear()
    assert reuse.kept_bytes() == 0


def new() -> tuple[Tensor, Tensor]:
    """Operands of a convolution with Winograd's filters and with enough weights to keep."""
    return torch.randn(1, 64, 80, 80), torch.randn(64, 64, 3, 3)


def packings(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call from now on packs its weights; the list grows with the calls."""
    packed: list[bool] = []
    original = execute.Call.run

    def run(self: execute.Call, *arguments: int) -> None:
        if self.lowered.packing is not None:
            packed.append(not (len(arguments) > 6 and arguments[6]))
        original(self, *arguments)

    monkeypatch.setattr(execute.Call, "run", run)
    return packed


def test_a_weight_that_stays_is_packed_twice_and_then_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = new()
    packed = packings(monkeypatch)
    results = [conv2d(x, w, None, 1, 1) for _ in range(5)]
    assert packed == [True, True, False, False, False]
    assert all(torch.equal(bits(result), bits(results[0])) for result in results)
    assert reuse.kept_bytes() > w.nbytes


def test_another_input_size_uses_them_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    first, w = new()
    second = torch.randn(1, 64, 88, 80)
    expected = conv2d(second, w.clone(), None, 1, 1)
    for _ in range(3):
        conv2d(first, w, None, 1, 1)
    packed = packings(monkeypatch)
    assert torch.equal(conv2d(second, w, None, 1, 1), expected)
    assert packed == [False]


def test_a_weight_that_is_trained_is_never_kept() -> None:
    x, w = new()
    for _ in range(8):
        w *= 1.001
        conv2d(x, w, None, 1, 1)
        assert reuse.kept_bytes() == 0


def test_one_that_changes_unnoticed_is_kept_ever_less_often() -> None:
    x, w = new()
    kept = 0
    for _ in range(100):
        w[1, 1] += 1  # Beside the samples.
        before = reuse.kept_bytes()
        conv2d(x, w, None, 1, 1)
        kept += before == 0 and reuse.kept_bytes() > 0
    assert 1 <= kept <= 10


def test_what_is_kept_of_a_weight_that_is_no_more_goes_when_another_comes() -> None:
    x, w = new()
    for _ in range(3):
        conv2d(x, w, None, 1, 1)
    assert reuse.kept_bytes() > 0
    one = reuse.kept_bytes()
    another = torch.randn(64, 64, 3, 3)
    del w
    for _ in range(3):
        conv2d(x, another, None, 1, 1)
    assert reuse.kept_bytes() == one


def test_little_weights_are_not_kept() -> None:
    x, w = torch.randn(1, 32, 30, 30), torch.randn(32, 32, 3, 3)
    for _ in range(4):
        conv2d(x, w, None, 1, 1)
    assert reuse.kept_bytes() == 0


def test_large_ones_are_kept_only_where_they_are_promised_to_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "_MOST_BESIDE", 50_000)
    x, w = torch.randn(1, 64, 43, 47), new()[1]  # A size that no other test has prepared.
    for _ in range(3):
        conv2d(x, w, None, 1, 1)
    assert reuse.kept_bytes() == 0
    launch.freeze(w)
    for _ in range(2):
        conv2d(x, w, None, 1, 1)
    assert w.nbytes < reuse.kept_bytes() < 4 * w.nbytes + 50_000
    launch.thaw(w)


def test_weights_with_gaps_are_computed_with_all_the_same() -> None:
    x, wide = torch.randn(1, 64, 20, 20), torch.randn(64, 64, 3, 6)
    w = wide[..., ::2]
    for step in range(5):
        wide += step
        assert torch.equal(conv2d(x, w, None, 1, 1), conv2d(x, w.clone(), None, 1, 1))
    assert reuse.kept_bytes() == 0


def test_memory_has_a_limit_and_what_is_in_use_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = new()
    weights = [torch.randn(64, 64, 3, 3) for _ in range(4)]

    def round_of(some: list[Tensor]) -> None:
        for w in some:
            conv2d(x, w, None, 1, 1)

    for _ in range(2):
        round_of(weights[:1])
    one = reuse.kept_bytes()
    monkeypatch.setattr(reuse, "MOST_BYTES", 2 * one)
    for _ in range(6):
        round_of(weights)
    assert reuse.kept_bytes() == 2 * one
    packed = packings(monkeypatch)
    round_of(weights)
    assert packed == [False, False, True, True]

    monkeypatch.setattr(reuse, "_IDLE_SECONDS", 0.0)  # Whatever is not used this instant may go.
    for _ in range(40):
        round_of(weights[2:])
    assert reuse.kept_bytes() == 2 * one
    packed.clear()
    round_of(weights[2:])
    assert packed == [False, False]


def test_without_memory_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(size: int) -> Any:
        raise OSError(f"no {size} bytes")

    x, w = new()
    expected = conv2d(x, w, None, 1, 1)
    monkeypatch.setattr(reuse.memory, "allocate", none)
    for _ in range(3):
        assert torch.equal(conv2d(x, w, None, 1, 1), expected)
    assert reuse.kept_bytes() == 0


@pytest.mark.parametrize("omp_threads", [1, 2])
def test_eight_threads_on_one_weight_that_changes_between_their_calls(omp_threads: int) -> None:
    threads, versions = 8, [torch.randn(64, 64, 3, 3) for _ in range(3)]
    w = torch.zeros_like(versions[0])
    inputs = [torch.randn(1, 64, 56, 56 + n % 3) for n in range(threads)]
    torch.set_num_threads(omp_threads)
    expected = [[conv2d(x, version.clone(), None, 1, 1) for x in inputs] for version in versions]
    turn, current = 0, 0
    failures: list[object] = []

    def change() -> None:
        nonlocal turn, current
        if turn % 5 == 0:  # In between it stays, so that it is kept and used.
            current = turn // 5 % 3
            w.data.copy_(versions[current])
        turn += 1

    together = threading.Barrier(threads, action=change)

    def work(mine: int) -> None:
        try:
            torch.set_num_threads(omp_threads)  # torch's count is a thread's own.
            for _ in range(30):
                together.wait()
                if not torch.equal(conv2d(inputs[mine], w, None, 1, 1), expected[current][mine]):
                    failures.append((turn, mine))
        except BaseException as error:  # noqa: BLE001  # Whatever it is, it must reach the test's own thread.
            failures.append(error)
            together.abort()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert reuse.kept_bytes() > 0


def test_a_forked_child_and_its_parent_do_not_see_each_others_weights(tmp_path: Path) -> None:
    output = children.run(
        """
        import os
        import torch
        from tatamu import conv2d, launch
        from tatamu.engine import reuse
        torch.set_num_threads(2)
        x, w = torch.randn(1, 64, 80, 80), torch.randn(64, 64, 3, 3)
        other = torch.randn_like(w)
        expected, of_other = (conv2d(x, it.clone(), None, 1, 1) for it in (w, other))
        for _ in range(3):
            conv2d(x, w, None, 1, 1)
        assert reuse.kept_bytes() > 0
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            right = torch.equal(conv2d(x, w, None, 1, 1), expected)
            w.data.copy_(other)
            right = right and all(torch.equal(conv2d(x, w, None, 1, 1), of_other) for _ in range(5))
            os._exit(0 if right else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(torch.equal(conv2d(x, w, None, 1, 1), expected))
        """,
        TATAMU_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert output == "0\nTrue\n"
