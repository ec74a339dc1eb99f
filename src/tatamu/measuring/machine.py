"""Where it was measured: the processor, and the versions of what was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from tatamu.engine.target import host


def processor() -> str:
    """Its name, as the operating system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def described(threads: int, instructions: str = "") -> str:
    """The machine in a few words: processor, widest instructions (those in use, if not said), threads."""
    return f"{processor()}, {instructions or host().name}, {threads} of {os.cpu_count()} threads"


def version(package: str) -> str:
    """The installed version of a package."""
    return importlib.metadata.version(package)
