"""Compiled kernels on disk. The files are executable code, and are treated as such.

A file is used only if it is the user's own, nobody else may write it, and its digest is right;
anything else counts as absent and is compiled again. Its name holds the machine's features and all
versions, for home directories are shared between machines.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from tatamu.engine.target import Target

_MAGIC = b"tatamu object 1\n"
_DIGEST_BYTES = 32
_MOST_BYTES = 256 << 20


def directory() -> Path:
    """Where objects are kept: ``TATAMU_CACHE_DIR``, or ``tatamu`` in the user's cache directory."""
    chosen = os.environ.get("TATAMU_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tatamu"


@functools.lru_cache(maxsize=1)
def _generator() -> bytes:
    """A digest of what generates code: our own sources, llvmlite and LLVM."""
    digest = hashlib.sha256(f"{llvmlite.__version__} {llvm.llvm_version_info}".encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.digest()


def _path(name: str, target: Target) -> Path:
    key = hashlib.sha256(_generator() + repr((name, target)).encode()).hexdigest()[:32]
    return directory() / f"{name}-{key}.o"


def load(name: str, target: Target) -> bytes | None:
    """The object file of a kernel, or None where there is none that may be trusted."""
    try:
        handle = os.open(_path(name, target), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except (OSError, RuntimeError):
        return None
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        if not stat.S_ISREG(found.st_mode) or not ours or found.st_mode & 0o022:
            return None
        content = file.read()
    payload = content[len(_MAGIC) + _DIGEST_BYTES :]
    expected = _MAGIC + hashlib.sha256(payload).digest()
    if not content.startswith(expected):
        return None
    with contextlib.suppress(OSError):
        os.utime(_path(name, target))
    return payload


def store(name: str, target: Target, payload: bytes) -> None:
    """Keep an object file, whole or not at all; a directory that cannot be written is no error."""
    try:
        folder = directory()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".new")
        try:
            with open(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, _path(name, target))
        except BaseException:
            os.unlink(temporary)
            raise
        _shrink(folder)
    except (OSError, RuntimeError):
        return


def _objects(folder: Path) -> list[Path]:
    return [*folder.glob("*.o"), *folder.glob("*.new")]


def _shrink(folder: Path) -> None:
    """Remove the objects used longest ago until the rest fits the bound."""
    kept = 0
    found = sorted(((path.stat(), path) for path in _objects(folder)), key=lambda entry: -entry[0].st_mtime)
    for status, path in found:
        kept += status.st_size
        if kept > _MOST_BYTES:
            path.unlink(missing_ok=True)


def clear() -> int:
    """Remove every compiled kernel from the disk; returns how many there were."""
    found = _objects(directory())
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
