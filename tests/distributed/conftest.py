"""Processes take seconds to start: the same ones do everything that is tested."""

from __future__ import annotations

from typing import Any

import pytest

from distributed import ranks

FUNCTIONS = ("distributed.trainings:together", "distributed.splits:together")


@pytest.fixture(scope="session", params=[2, 4], ids=["2 processes", "4 processes"])
def processes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What each function returns in each process."""
    return ranks.run(FUNCTIONS, request.param, tmp_path_factory.mktemp("ranks"))
