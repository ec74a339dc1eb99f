"""tatamu (畳む, to fold): torch.nn.Conv2d from scratch, on machine code that it generates itself."""

import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tatamu.picture import draw

# So many objects are made here that Python would look through all of torch's for garbage: as long again.
_collects = gc.isenabled()
gc.disable()
try:
    from tatamu import functional
    from tatamu.errors import TatamuError
    from tatamu.explain import explain
    from tatamu.freezing import freeze, thaw
    from tatamu.functional import conv2d
    from tatamu.nn import Conv2d, LazyConv2d
    from tatamu.precision import get_precision, set_precision
    from tatamu.solving import solve
finally:
    if _collects:
        gc.enable()

__all__ = [
    "Conv2d",
    "LazyConv2d",
    "TatamuError",
    "conv2d",
    "draw",
    "explain",
    "freeze",
    "functional",
    "get_precision",
    "set_precision",
    "solve",
    "thaw",
]

_LATER = {"draw": "tatamu.picture"}
"""Public names that few programs use: their module is imported when they are asked for."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
