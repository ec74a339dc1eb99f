"""Who listens to a module."""

from __future__ import annotations

from torch.nn import Module

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def has_hooks(module: Module) -> bool:
    """Whether someone listens to what goes into a module or comes out of it."""
    return any(getattr(module, name) for name in _HOOKS)
