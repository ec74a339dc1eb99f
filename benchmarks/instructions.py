"""A machine without 512-bit instructions, made of one that has them."""

from __future__ import annotations

import os
import sys
from unittest import mock

from tatamu.engine import target


def leave_512_bits_unused() -> None:
    """For the rest of the process tatamu and oneDNN, torch's convolutions, use AVX2.

    To be called before the first convolution, when oneDNN reads its setting. ONNX Runtime and OpenVINO have
    no such setting.
    """
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    host = target.host
    for name, module in list(sys.modules.items()):
        if name.startswith(("tatamu.", "benchmarks.")) and getattr(module, "host", None) is host:
            mock.patch.object(module, "host", target.host_as_avx2).start()
