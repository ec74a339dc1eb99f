"""`tatamu playground`, as the command line calls it."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from cli.commands import complaint, run
from tatamu.drawing.playground.page import page


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser was asked to open; the test's folder is the current one."""
    found: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda url: found.append(url) or True)
    return found


def test_it_writes_the_page_and_opens_it(tmp_path: Path, opened: list[str]) -> None:
    path = tmp_path / "tatamu-playground.html"
    result = run("playground")
    assert (result.status, result.stdout) == (0, f"wrote {path}\n")
    assert path.read_text(encoding="utf-8") == page()
    assert opened == [path.as_uri()]


def test_with_a_name_it_only_writes(tmp_path: Path, opened: list[str]) -> None:
    result = run("playground", "-o", "mine.html")
    assert (result.status, result.stdout) == (0, f"wrote {tmp_path / 'mine.html'}\n")
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == page()
    assert opened == []


def test_without_a_browser_it_says_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    result = run("playground")
    assert result.status == 1
    assert (
        result.stderr == f"tatamu: no browser was found; open {tmp_path / 'tatamu-playground.html'} in one\n"
    )


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path, opened: list[str]) -> None:
    assert str(tmp_path / "none") in complaint(
        "playground", "-o", str(tmp_path / "none" / "p.html"), status=1
    )
    assert opened == []
