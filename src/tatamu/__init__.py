"""tatamu (畳む, to fold): torch.nn.Conv2d from scratch, on machine code that it generates itself."""

import gc

# So many objects are made here that Python would look through all of torch's for garbage: as long again.
_collects = gc.isenabled()
gc.disable()
try:
    from tatamu import functional
    from tatamu.adopt import convert, disable, enable, enabled, revert, status, warmup
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
    "convert",
    "disable",
    "enable",
    "enabled",
    "explain",
    "freeze",
    "functional",
    "get_precision",
    "revert",
    "set_precision",
    "solve",
    "status",
    "thaw",
    "warmup",
]
