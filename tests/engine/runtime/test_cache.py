"""Kernels on disk: only what is whole and the user's own is ever run, and nothing about them is an error."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import pytest
import torch
from torch import Tensor

import children
from engine.calls import run
from engine.cases import Case
from tatamu.engine.runtime import cache, jit
from tatamu.engine.target import host
from tatamu.geometry import Axis, Geometry

NOBODY = 65534
SUMS = Case(Geometry(2, 3, 5, 1, Axis(6, 1), Axis(7, 1)))


def channel_sums() -> tuple[Tensor, Tensor]:
    """What the smallest kernel computes, and what it should."""
    it = SUMS.operands(torch.float64)
    return run("grad_bias", it, host()), it.grad_output.sum((0, 2, 3))


def only(folder: Path) -> Path:
    """The one file of a directory."""
    (path,) = folder.iterdir()
    return path


def test_an_object_comes_back(folder: Path) -> None:
    assert cache.load("kernel", host()) is None
    cache.store("kernel", host(), b"code")
    assert cache.load("kernel", host()) == b"code"
    assert cache.load("another", host()) is None
    assert only(folder).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_next_process_compiles_nothing(
    folder: Path, start_process: Callable[[], None], compiled: list[str]
) -> None:
    for _ in range(2):
        start_process()
        assert torch.allclose(*channel_sums())
    assert len(compiled) == 1
    assert only(folder).name.startswith(compiled[0])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def truncate_to_half_a_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def give_away(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def let_the_world_write(path: Path) -> None:
    path.chmod(0o602)


def let_the_group_write(path: Path) -> None:
    path.chmod(0o620)


def link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere.o")
    path.symlink_to(path.parent.parent / "elsewhere.o")


def let_the_world_write_the_directory(path: Path) -> None:
    path.parent.chmod(0o777)


def give_the_directory_away(path: Path) -> None:
    os.chown(path.parent, NOBODY, NOBODY)


DAMAGES = (truncate, truncate_to_half_a_header, empty, garble, lengthen)
DISTRUSTED = (give_away, let_the_world_write, let_the_group_write, link)
OF_DIRECTORIES = (let_the_world_write_the_directory, give_the_directory_away)


def do(harm: Callable[[Path], None], path: Path) -> None:
    try:
        harm(path)
    except PermissionError:
        pytest.skip("only root may give files to another user")


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_compiled_again(
    damage: Callable[[Path], None], folder: Path, start_process: Callable[[], None], compiled: list[str]
) -> None:
    start_process()
    channel_sums()
    whole = only(folder).read_bytes()
    damage(only(folder))
    start_process()
    assert torch.allclose(*channel_sums())
    assert len(compiled) == 2
    assert only(folder).read_bytes() == whole


def leave_a_kernel_that_does_nothing(folder: Path) -> Path:
    """In the cache's own format, under the right name: it would be run."""
    path = only(folder)
    name = path.name.rpartition("-")[0]
    text = f'target triple = "{host().triple}"\ndefine void @{name}() {{\nret void\n}}'
    llvm.initialize_native_asmparser()
    code = jit.target_machine(host()).emit_object(llvm.parse_assembly(text))
    cache.store(name, host(), jit.joined([code]))
    assert only(folder) == path
    return path


def test_a_kernel_that_does_nothing_would_be_noticed(
    folder: Path, start_process: Callable[[], None], compiled: list[str]
) -> None:
    start_process()
    channel_sums()
    leave_a_kernel_that_does_nothing(folder)
    start_process()
    assert channel_sums()[0].isnan().all()
    assert len(compiled) == 1


@pytest.mark.parametrize("harm", DISTRUSTED)
def test_what_others_may_have_written_is_never_run(
    harm: Callable[[Path], None], folder: Path, start_process: Callable[[], None], compiled: list[str]
) -> None:
    start_process()
    channel_sums()
    do(harm, leave_a_kernel_that_does_nothing(folder))
    for _ in range(2):
        start_process()
        assert torch.allclose(*channel_sums())
    assert len(compiled) == 2, "what replaced it is the user's own again"
    assert not only(folder).is_symlink()


@pytest.mark.parametrize("harm", OF_DIRECTORIES)
def test_nothing_is_run_from_a_directory_that_others_may_write(
    harm: Callable[[Path], None], folder: Path, start_process: Callable[[], None], compiled: list[str]
) -> None:
    start_process()
    channel_sums()
    do(harm, leave_a_kernel_that_does_nothing(folder))
    before = only(folder).read_bytes()
    start_process()
    with pytest.warns(RuntimeWarning, match="others may write or which is another user's") as notices:
        assert torch.allclose(*channel_sums())
    start_process()
    assert torch.allclose(*channel_sums())  # Without another notice: it would be an error.
    assert len(notices) == 1
    assert len(compiled) == 3
    assert only(folder).read_bytes() == before


def test_a_kernel_is_never_run_in_place_of_another(folder: Path) -> None:
    cache.store("one", host(), b"code of one")
    cache._path("one", host()).rename(cache._path("two", host()))
    assert cache.load("two", host()) is None
    assert only(folder).exists()


@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir)])
def test_what_is_no_file_counts_as_absent(make: Callable[[Path], None], folder: Path) -> None:
    folder.mkdir(mode=0o700)
    make(cache._path("kernel", host()))
    assert cache.load("kernel", host()) is None
    cache.store("kernel", host(), b"code")
    assert not list(folder.glob("*.new"))


def test_machines_and_versions_do_not_share_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = host()
    others = [
        target,
        replace(target, features=target.features + ",-avx512fp16"),
        replace(target, cpu="another"),
        replace(target, triple="x86_64-unknown-freebsd"),
        replace(target, l2_bytes=target.l2_bytes * 2),
    ]
    paths = {cache._path("kernel", other) for other in others}
    versions = (
        (llvmlite, "__version__", "0.0.1"),
        (llvm, "llvm_version_info", (99, 0, 0)),
        (Path, "read_bytes", lambda _: b"other sources"),
    )
    for owner, name, value in versions:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            cache._generator.cache_clear()
            paths.add(cache._path("kernel", target))
    cache._generator.cache_clear()
    assert len(paths) == len(others) + len(versions)
    assert all(path.parent == folder for path in paths)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TATAMU_CACHE_DIR", raising=False)
    assert cache.directory() == Path("/home/someone/.cache/tatamu")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    assert cache.directory() == Path("/var/cache/someone/tatamu")
    monkeypatch.setenv("TATAMU_CACHE_DIR", "/fast/tatamu-objects")
    assert cache.directory() == Path("/fast/tatamu-objects")


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("TATAMU_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    cache.store("kernel", host(), b"code")
    assert cache.load("kernel", host()) is None
    assert cache.clear() == 0


def test_what_was_used_longest_ago_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("a", host(), b"x" * 1000)
    monkeypatch.setattr(cache, "_MOST_BYTES", 3 * only(folder).stat().st_size)
    cache.store("b", host(), b"x" * 1000)
    cache.store("c", host(), b"x" * 1000)
    for age, name in ((30, "a"), (20, "b"), (10, "c")):
        path = cache._path(name, host())
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert cache.load("a", host()) is not None
    cache.store("d", host(), b"x" * 1000)
    left = {name for name in "abcd" if cache.load(name, host()) is not None}
    assert left == {"a", "c", "d"}


def test_clear_removes_all_that_is_ours(folder: Path) -> None:
    for name in "abc":
        cache.store(name, host(), b"code")
    (folder / "killed.new").touch()
    (folder / "notes.txt").touch()
    assert cache.clear() == 4
    assert only(folder).name == "notes.txt"
    assert cache.clear() == 0


def test_a_store_that_fails_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cache.store("kernel", host(), b"code")
    assert list(folder.iterdir()) == []


def test_two_processes_fill_one_empty_cache(folder: Path) -> None:
    program = """
        import sys
        import torch
        import tatamu
        from tatamu.engine.runtime import jit
        emitted, emit = [], jit.emit_objects
        jit.emit_objects = lambda *what: emitted.append(1) or emit(*what)
        torch.manual_seed(5)
        layer, x = tatamu.Conv2d(4, 5, 3), torch.randn(2, 4, 9, 11, requires_grad=True)
        print("ready", flush=True)
        sys.stdin.readline()
        y = layer(x)
        y.square().sum().backward()
        print(len(emitted), *(t.double().sum().item() for t in (y, x.grad, layer.weight.grad)))
    """
    both = [children.start(program) for _ in range(2)]
    for child in both:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in both:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    first, second = (children.finish(child).split() for child in both)
    assert first[1:] == second[1:]
    assert {path.suffix for path in folder.iterdir()} == {".o"}
    third = children.run(program.replace("sys.stdin.readline()", ""))
    assert third.split() == ["ready", "0", *first[1:]]


@pytest.mark.parametrize("place", ["read-only", "nowhere"])
def test_a_directory_that_cannot_be_written_is_no_error(place: str) -> None:
    """As a user without root's rights, which ignore modes."""
    with tempfile.TemporaryDirectory() as parent:
        home = Path(parent)
        user = NOBODY if os.geteuid() == 0 else os.geteuid()
        home.chmod(0o500)
        os.chown(home, user, -1)
        folder = home if place == "read-only" else home / "cache"
        output = children.run(
            f"""
            import os
            import pathlib
            import torch
            import tatamu
            from tatamu.engine.runtime import cache
            cache._generator()  # Its sources may lie where only root can read.
            tatamu.Conv2d(1, 1, 1, dtype=torch.float64)(torch.ones(1, 1, 1, 1, dtype=torch.float64))
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid({user})
                os.setuid({user})
            folder = pathlib.Path({str(folder)!r})
            os.environ["TATAMU_CACHE_DIR"] = str(folder)
            try:
                (folder / "try").touch()
            except OSError as error:
                print(type(error).__name__)
            layer, x = tatamu.Conv2d(3, 4, 3), torch.randn(1, 3, 5, 6)
            y = layer(x)
            assert torch.allclose(y, torch.nn.functional.conv2d(x, layer.weight, layer.bias), atol=1e-5)
            y.sum().backward()
            print("right")
            """,
            TATAMU_CACHE_DIR=os.devnull,
        )
        assert output.split() == ["PermissionError" if place == "read-only" else "FileNotFoundError", "right"]
        assert list(home.iterdir()) == []


def test_a_cache_that_is_no_directory_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TATAMU_CACHE_DIR", os.devnull)
    cache.store("kernel", host(), b"code")
    assert cache.load("kernel", host()) is None
    assert cache.clear() == 0


def test_why_nothing_can_be_kept_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "not" / "there"):
        monkeypatch.setenv("TATAMU_CACHE_DIR", str(folder))
        assert cache.refusal() is None
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cache.refusal() == f"{tmp_path} cannot be written"
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(tmp_path))
    assert cache.refusal() == "it cannot be written"
    tmp_path.chmod(0o777)
    assert "others may write there" in (cache.refusal() or "")
