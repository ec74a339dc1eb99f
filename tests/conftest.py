"""What every test shares: a seed of its own, printed when it fails; two threads; hypothesis's profiles."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Generator, Iterator

import hypothesis
import numpy as np
import pytest
import torch

THREADS = 2


class _TorchRandom:
    """torch's generator, for hypothesis to seed before each example and to restore after it."""

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def getstate(self) -> torch.Tensor:
        return torch.get_rng_state()

    def setstate(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)


_torch_random = _TorchRandom()  # hypothesis keeps a weak reference only.
hypothesis.register_random(_torch_random)

# No deadline and no complaint about slowness: the first example of a new kind of layer compiles a kernel.
_common = hypothesis.settings(
    deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("local", _common, max_examples=25)
hypothesis.settings.register_profile("ci", _common, max_examples=100)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, help="base of every test's random seed")


def _seed_of(item: pytest.Item) -> int:
    """A seed that depends on the test and on --seed, and not on which tests run or in which order."""
    return zlib.crc32(f"{item.config.getoption('--seed')} {item.nodeid}".encode())


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    seed = _seed_of(request.node)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - a test may use the global generator; it too is to repeat itself.
    torch.manual_seed(seed)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(THREADS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        base = item.config.getoption("--seed")
        report.sections.append(("seed", f"torch.manual_seed({_seed_of(item)}), from --seed={base}"))
    return report
