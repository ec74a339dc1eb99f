"""`tatamu doctor`, as the command line calls it."""

from __future__ import annotations

import pytest

from cli.commands import run
from tatamu.cli import doctor
from tatamu.measuring.examination import BROKEN, FINE, NOTICE, Finding


def test_here_nothing_is_broken() -> None:
    result = run("doctor")
    assert (result.status, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert all(line.startswith(("✓ ", "! ")) for line in lines)
    assert any(line.startswith("✓ a convolution") for line in lines)


@pytest.mark.parametrize(("state", "mark", "status"), [(FINE, "✓", 0), (NOTICE, "!", 0), (BROKEN, "✗", 1)])
def test_what_is_broken_is_marked_and_fails(
    monkeypatch: pytest.MonkeyPatch, state: str, mark: str, status: int
) -> None:
    findings = [Finding("torch", FINE, "2.13"), Finding("cache", state, "somewhere")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    result = run("doctor")
    assert result.status == status
    assert result.stdout == f"✓ torch          2.13\n{mark} cache          somewhere\n"
