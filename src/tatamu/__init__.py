"""tatamu (畳む, to fold): torch.nn.Conv2d from scratch, on machine code that it generates itself."""

import gc
from importlib import import_module
from typing import TYPE_CHECKING

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
finally:
    if _collects:
        gc.enable()

if TYPE_CHECKING:
    from tatamu.tracing.trace import trace

__all__ = [
    "Conv2d",
    "LazyConv2d",
    "TatamuError",
    "conv2d",
    "explain",
    "freeze",
    "functional",
    "get_precision",
    "set_precision",
    "thaw",
    "trace",
]

_LATER = {"trace": "tatamu.tracing.trace"}
"""Names that few programs use, and the modules that are imported for them at first use."""


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = found
    return found
