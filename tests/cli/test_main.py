"""What all commands share: help, versions, and one sentence for a mistake."""

from __future__ import annotations

import pytest

from cli.commands import complaint, run
from tatamu.cli.main import commands


def test_without_a_command_it_shows_them_all() -> None:
    result = run()
    assert result.status == 2
    for name in commands.commands:
        assert name in result.stderr


@pytest.mark.parametrize("name", list(commands.commands))
def test_help_shows_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.status == 0
    assert f"  tatamu {name}" in result.stdout


@pytest.mark.parametrize("name", list(commands.commands))
def test_a_wrong_option_is_one_sentence(name: str) -> None:
    assert complaint(name, "--no-such-thing").endswith(f"; see 'tatamu {name} --help'")


def test_a_wrong_command_is_one_sentence() -> None:
    assert complaint("juggle") == "No such command 'juggle'; see 'tatamu --help'"


def test_the_version() -> None:
    assert run("--version").stdout.startswith("tatamu, version ")
