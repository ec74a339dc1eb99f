"""`tatamu cache`, as the command line calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.commands import complaint, run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(tmp_path))
    (tmp_path / "f32_direct-1.o").write_bytes(bytes(1200))
    (tmp_path / "left_behind.new").write_bytes(bytes(34))
    (tmp_path / "notes.txt").write_text("the user's")
    return tmp_path


def test_it_shows_what_there_is(folder: Path) -> None:
    result = run("cache")
    assert (result.status, result.stdout) == (
        0,
        f"{folder}: 2 compiled kernels, 1,234 of at most 33,554,432 bytes\n",
    )
    assert len(list(folder.iterdir())) == 3


def test_it_removes_compiled_kernels_and_nothing_else(folder: Path) -> None:
    result = run("cache", "--clear")
    assert (result.status, result.stdout) == (0, f"removed 2 compiled kernels from {folder}\n")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_directory_that_is_not_there_is_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(tmp_path / "none"))
    assert "0 compiled kernels, 0 of" in run("cache").stdout
    assert run("cache", "--clear").status == 0
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_removed_is_an_error_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:  # noqa: ARG001  # unlink's own parameters.
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert str(folder) in complaint("cache", "--clear", status=1)


def test_a_folder_that_others_may_write_keeps_nothing(folder: Path) -> None:
    folder.chmod(0o777)
    assert "nothing is kept: others may write there" in run("cache").stdout
