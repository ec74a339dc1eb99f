"""The maps of a convolution on DTensors: tensors of which each process of a group holds a part.

`torch.distributed` splits, moves and sums; what is here is what a convolution allows. It may be split by
images (batch), by output channels, by groups where they divide evenly, and by rows of the image, for which
processes send one another the rows that their windows share.

DDP and FSDP need none of it: they give a layer whole tensors.
"""

from __future__ import annotations

import sys
from functools import lru_cache


def prepare() -> None:
    """Teach DTensor the operators, if the program has DTensors at all.

    torch.distributed.tensor takes about a second to import. Whoever has a DTensor has imported it.
    """
    if "torch.distributed.tensor" in sys.modules:
        _register()


# Called while torch.compile traces, and not traced. torch.compiler.assume_constant_result would set the same,
# but loads the compiler.
prepare._dynamo_marked_constant = True  # type: ignore[attr-defined]  # A function takes any attribute.


@lru_cache(maxsize=1)
def _register() -> None:
    from tatamu.distributed import rules  # noqa: PLC0415  # It imports torch.distributed.tensor.

    rules.register()
