"""What is known of an operator of torch from its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DUNDERS = {"iadd": "add", "radd": "add", "isub": "sub", "rsub": "sub", "imul": "mul", "rmul": "mul"}


def name_of(func: Any) -> str:
    """A function's or an operator's plain name: 'conv2d', 'add', 'getitem', 'convolution'."""
    name = getattr(func, "__name__", "") or str(func)
    plain = name.partition(".")[0].strip("_")
    return _DUNDERS.get(plain, plain)


def bound(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operator by name, with its defaults."""
    found = {}
    for place, argument in enumerate(func._schema.arguments):
        if place < len(args):
            found[argument.name] = args[place]
        elif argument.name in kwargs:
            found[argument.name] = kwargs[argument.name]
        else:
            found[argument.name] = argument.default_value if argument.has_default_value() else None
    return found


def is_view(func: Any) -> bool:
    """Whether what comes out is the memory of what goes in, which is not written to."""
    infos = [it.alias_info for it in func._schema.returns]
    return bool(infos) and infos[0] is not None and not infos[0].is_write


def viewed(func: Any, arguments: Mapping[str, Any]) -> Any:
    """The argument whose memory comes out of a view."""
    return next(arguments[it.name] for it in func._schema.arguments if it.alias_info is not None)


def same_object(func: Any, arguments: Mapping[str, Any], output: Any) -> Any:
    """The output, where an argument that was written into is that argument itself."""
    returns = func._schema.returns
    if len(returns) != 1 or returns[0].alias_info is None or not returns[0].alias_info.is_write:
        return output
    written = (it.name for it in func._schema.arguments if it.is_write)
    return arguments[next(written)]
