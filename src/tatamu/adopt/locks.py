"""Locks that no process takes with it when it forks: a child would wait for them for ever."""

from __future__ import annotations

import os
import threading


def lock() -> threading.Lock:
    """A lock that is free in a child, whoever held it in the parent."""
    made = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=made.acquire, after_in_parent=made.release, after_in_child=made.release)
    return made
