"""Compiled kernels on disk. The files are executable code, and are treated as such.

A file is used only if it and its directory are the user's own, nobody else may write either, and
its digest is right; anything else counts as absent, and the kernel is compiled again. A name holds
the machine's features and all versions, for home directories are shared between machines.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from tatamu.engine.target import Target

_MAGIC = b"tatamu object 2\n"
_DIGEST_BYTES = 32
_MOST_BYTES = 32 << 20  # Some 3,000 kernels; each store looks at all files.

# No link is followed, and what is no file at all does not keep anybody waiting.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def directory() -> Path:
    """Where objects are kept: ``TATAMU_CACHE_DIR``, or ``tatamu`` in the user's cache directory.

    Raises:
        RuntimeError: the user has no home directory.
    """
    chosen = os.environ.get("TATAMU_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tatamu"


def load(name: str, target: Target) -> bytes | None:
    """The object file of a kernel, or None where there is none that may be trusted."""
    try:
        path = _path(name, target)
        if not _is_safe(path.parent):
            return None
        handle = os.open(path, _READ)
        try:
            status = os.fstat(handle)
            if not (stat.S_ISREG(status.st_mode) and _is_ours_alone(status)):
                return None
            content = os.read(handle, status.st_size)
            with contextlib.suppress(OSError):
                os.utime(handle)  # What was used last is removed last.
        finally:
            os.close(handle)
    except (OSError, RuntimeError):
        return None
    payload = content[len(_MAGIC) + _DIGEST_BYTES :]
    return payload if content.startswith(_header(path, payload)) else None


def store(name: str, target: Target, payload: bytes) -> None:
    """Keep an object file, whole or not at all; a directory that cannot be written is no error."""
    try:
        path = _path(name, target)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_safe(path.parent):
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".new", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(_header(path, payload) + payload)
                file.flush()
                temporary.replace(path)
            except BaseException:
                temporary.unlink()
                raise
        _shrink(path.parent)
    except (OSError, RuntimeError):
        return


def stored() -> list[tuple[Path, os.stat_result]]:
    """The files of the cache, those left behind by a process that was killed too; the last used first."""
    try:
        folder = directory()
    except RuntimeError:
        return []
    return _stored(folder)


def refusal() -> str | None:
    """Why nothing can be kept on disk, in a few words; None where it can."""
    try:
        folder = directory()
        if folder.exists():
            if not _is_ours_alone(folder.stat()):
                return "others may write there, so what lies there is not used"
            writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
            return None if writable else "it cannot be written"
        above = next(parent for parent in folder.absolute().parents if parent.exists())
    except (OSError, RuntimeError) as error:
        return str(error)
    return None if os.access(above, os.W_OK | os.X_OK) else f"{above} cannot be written"


def bound() -> int:
    """The most bytes that are kept: beyond them what was used longest ago is removed."""
    return _MOST_BYTES


def clear() -> int:
    """Remove every compiled kernel from the disk; returns how many files there were.

    Raises:
        OSError: a file cannot be removed.
    """
    found = stored()
    for path, _ in found:
        path.unlink(missing_ok=True)
    return len(found)


def _stored(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".o", ".new")):
                with contextlib.suppress(OSError):  # Another process has removed it.
                    found.append((folder / entry.name, entry.stat(follow_symlinks=False)))
    return sorted(found, key=lambda each: -each[1].st_mtime_ns)


def _shrink(folder: Path) -> None:
    """Remove the objects used longest ago until the rest fits the bound."""
    kept = 0
    for path, status in _stored(folder):
        kept += status.st_size
        if kept > _MOST_BYTES:
            path.unlink(missing_ok=True)


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


def _header(path: Path, payload: bytes) -> bytes:
    """What a file begins with; made from its name too, for a kernel must not be run in place of another."""
    return _MAGIC + hashlib.sha256(path.name.encode() + payload).digest()


def _is_ours_alone(status: os.stat_result) -> bool:
    """Whether a file or directory is the user's, and nobody else may write it.

    True on systems whose files have no owner.
    """
    return not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not status.st_mode & 0o022)


def _is_safe(folder: Path) -> bool:
    """Whether files that the user owns can only have come into this directory through the user.

    Raises:
        OSError: there is no such directory.
    """
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not _is_ours_alone(status):
        _complain(folder)
        return False
    return True


@functools.lru_cache(maxsize=1)
def _complain(folder: Path) -> None:
    warnings.warn(
        f"tatamu keeps no compiled kernels in {folder}, where others may write or which is another user's: "
        "make it your own (chmod go-w), or let TATAMU_CACHE_DIR name another directory",
        RuntimeWarning,
        stacklevel=2,
    )
