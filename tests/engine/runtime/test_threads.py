"""The thread pool: torch's own, looked up once, never needed by one thread or by a forked child."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import children
from tatamu.engine.runtime import threads

TORCH_LIBRARIES = Path(torch.__file__).parent / "lib"


def test_the_pool_is_found_here() -> None:
    assert threads.find_pool() is not None
    assert threads.has_pool()
    assert "gomp" in Path(threads.pool_library() or "").name
    assert [threads.usable(wanted) for wanted in (0, 1, 2, 3)] == [1, 1, 2, 3]


def test_the_pool_is_torchs_even_where_another_is_loaded_first() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn brings an OpenMP library of its own")
    output = children.run("""
        import sklearn.utils._openmp_helpers
        import torch
        from tatamu.engine.runtime import threads
        pool = threads.find_pool()
        libraries = set()
        for line in open("/proc/self/maps"):
            place, *_, path = line.split(maxsplit=5)
            begin, end = (int(number, 16) for number in place.split("-"))
            if "libgomp" in path:
                libraries.add(path.strip())
            if begin <= pool < end:
                print(path.strip())
        assert len(libraries) == 2, libraries
    """)
    found = Path(output.strip()).resolve()
    linked = {
        path.resolve()
        for path in (*TORCH_LIBRARIES.iterdir(), *TORCH_LIBRARIES.parent.parent.glob("torch.libs/*"))
    }
    assert found in linked
    assert "gomp" in found.name


def test_without_proc_there_is_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert threads.find_pool() is None


def test_without_torchs_library_there_is_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_mapped_library", lambda _: None)
    assert threads.find_pool() is None
    monkeypatch.setattr(threads, "_mapped_library", lambda _: "/nowhere/libtorch_cpu.so")
    assert threads.find_pool() is None


def test_without_a_pool_one_notice_and_one_thread(tmp_path: Path) -> None:
    """`GOMP_parallel` is then a function that ends the process: results show that it is not called."""
    output = children.run(
        """
        import warnings
        import torch
        import tatamu
        from tatamu.engine.runtime import threads
        looked = []
        threads.find_pool = lambda: looked.append(1)
        torch.set_num_threads(2)
        x = torch.randn(1, 16, 40, 40)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for kernel in (1, 3):
                layer = tatamu.Conv2d(16, 16, kernel)
                y = layer(x)
                expected = torch.nn.functional.conv2d(x, layer.weight, layer.bias)
                assert torch.allclose(y, expected, atol=1e-4)
                (y - 1).square().sum().backward()
        assert threads.usable(2) == 1
        print(len(looked), *(f"{notice.category.__name__}: {notice.message}" for notice in caught), sep="\\n")
        """,
        TATAMU_CACHE_DIR=str(tmp_path),
    )
    assert output == (
        "1\nRuntimeWarning: tatamu found no OpenMP library behind torch and computes on one thread\n"
    )


def test_with_a_pool_it_is_looked_up_once_and_there_is_no_notice(tmp_path: Path) -> None:
    output = children.run(
        """
        import torch
        import tatamu
        from tatamu.engine.runtime import threads
        look, looked = threads.find_pool, []
        threads.find_pool = lambda: looked.append(1) or look()
        torch.set_num_threads(2)
        for kernel in (1, 3):
            tatamu.Conv2d(16, 16, kernel)(torch.randn(1, 16, 40, 40)).sum().backward()
        print(len(looked))
        """,
        TATAMU_CACHE_DIR=str(tmp_path),
    )
    assert output == "1\n"


def test_a_forked_child_has_one_thread() -> None:
    output = children.run("""
        import os
        import torch
        from tatamu.engine.runtime import threads
        assert threads.usable(3) == 3
        child = os.fork()
        if child == 0:
            os._exit(threads.usable(3))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), threads.usable(3))
    """)
    assert output == "1 3\n"
