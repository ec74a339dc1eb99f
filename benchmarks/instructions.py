"""A machine without 512-bit instructions, made of one that has them."""

from __future__ import annotations

import os
from unittest import mock

from tatamu import launch
from tatamu.engine import target


def leave_512_bits_unused() -> None:
    """For the rest of the process tatamu and oneDNN, torch's convolutions, use AVX2.

    To be called before the first convolution: oneDNN reads its setting then.
    """
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    mock.patch.object(launch, "host", target.host_as_avx2).start()
