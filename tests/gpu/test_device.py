"""What only a GPU shows: streams, graphs, other devices, TF32, tensors beyond 32 bits, tuning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import tatamu

pytestmark = pytest.mark.on_gpu


def half(*size: int) -> Tensor:
    return torch.randn(size, device="cuda", dtype=torch.bfloat16)


def judged(x: Tensor, w: Tensor) -> Tensor:
    """The exact result, on the CPU."""
    return torch.nn.functional.conv2d(x.double().cpu(), w.double().cpu(), padding=1)


def assert_near(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result.double().cpu(), expected, rtol=2**-7, atol=2**-5)


def test_on_another_stream() -> None:
    x, w = half(8, 64, 28, 28), half(64, 64, 3, 3) / 24
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)  # What ran elsewhere would be done before this is.
        y = tatamu.conv2d(x * 2, w, padding=1)
    torch.cuda.current_stream().wait_stream(stream)
    assert_near(y, 2 * judged(x, w))


def test_in_a_graph() -> None:
    x, w = half(4, 32, 14, 14), half(32, 32, 3, 3) / 17
    w.requires_grad_()

    def step() -> tuple[Tensor, Tensor]:
        y = tatamu.conv2d(x, w, padding=1)
        return y, torch.autograd.grad(y.sum(), w)[0]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y, gw = step()
    x.copy_(half(4, 32, 14, 14))
    graph.replay()
    assert_near(y.detach(), judged(x, w.detach()))
    assert torch.equal(gw, step()[1])


def test_on_a_device_that_is_not_the_current_one() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    x, w = half(2, 16, 8, 8).to("cuda:1"), half(16, 16, 3, 3).to("cuda:1") / 12
    y = tatamu.conv2d(x, w, padding=1)
    assert y.device == x.device
    assert_near(y, judged(x, w))


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
def test_more_elements_than_32_bits_count(channels_last: bool) -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < 20 << 30:
        pytest.skip("takes 20 GiB of the GPU's memory")
    form = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.zeros(5, 64, 2600, 2600, device="cuda", dtype=torch.bfloat16).contiguous(memory_format=form)
    x[-1, :, -8:, -8:] = half(64, 8, 8)
    w = half(16, 64, 3, 3) / 24
    y = tatamu.conv2d(x, w, padding=1)
    assert_near(y[-1:, :, -6:, -6:], judged(x[-1:, :, -8:, -8:], w)[:, :, 2:, 2:])


def test_tf32_rounds_as_much_as_it_may() -> None:
    x, w = torch.randn(2, 64, 14, 14, device="cuda"), torch.randn(64, 64, 3, 3, device="cuda")
    limit = judged(x.abs(), w.abs())
    for allowed, largest in ((True, 2**-9), (False, 2**-19)):
        torch.backends.cudnn.allow_tf32 = allowed
        try:
            error = (tatamu.conv2d(x, w, padding=1).double().cpu() - judged(x, w)).abs()
        finally:
            torch.backends.cudnn.allow_tf32 = True
        assert bool((error <= largest * limit).all())


def test_tuned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    x, w = half(4, 48, 17, 17), half(80, 48, 3, 3) / 20
    x.requires_grad_()
    y = tatamu.conv2d(x, w, padding=1)
    y.sum().backward()
    assert_near(y.detach(), judged(x.detach(), w))
    assert (tmp_path / "cache" / "gpu-tiles.json").exists()
