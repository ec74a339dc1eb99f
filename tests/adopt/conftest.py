"""tatamu underneath torch, and torch by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tatamu


@pytest.fixture
def on() -> Iterator[None]:
    with tatamu.enabled():
        yield


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    yield
    tatamu.disable()
