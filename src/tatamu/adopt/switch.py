"""On and off: tatamu underneath every 2-D convolution of the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tatamu.adopt import counting, dispatch
from tatamu.adopt.locks import lock

_lock = lock()
_enabled = False
_blocks: set[object] = set()
"""Those of `enabled` that are running, in any thread."""


def enable() -> None:
    """Let tatamu compute every 2-D convolution of the process, in code that has never heard of it.

    On the CPU and on NVIDIA GPUs, forward and backward, transposed ones too, whoever asks for them:
    `torch.nn.Conv2d`, `torch.nn.functional.conv2d`, code compiled by torch.compile, traced programs. Results
    have the dtypes, sizes and memory formats of torch's, and, until `tatamu.set_precision('highest')`, may
    round like Winograd's filters. Convolutions in one or three dimensions, of quantised or sparse tensors or
    on other devices stay torch's, and so do torch's error messages. `status` tells what was served.

    To call it again changes nothing. Processes that fork inherit it; others begin without.
    """
    global _enabled  # noqa: PLW0603  # One for the process.
    dispatch.install()
    with _lock:
        _enabled = True
        dispatch.is_on = True


def disable() -> None:
    """Let torch compute all convolutions again, bit for bit as before, in all threads and at once.

    Blocks of `enabled` that are running keep nothing on any more. To call it again changes nothing.
    """
    global _enabled  # noqa: PLW0603  # One for the process.
    with _lock:
        _enabled = False
        _blocks.clear()
        dispatch.is_on = False


@contextmanager
def enabled() -> Iterator[None]:
    """``with tatamu.enabled():`` is `enable` until the block ends, for the whole process.

    Where several blocks run, one in another or in several threads, the last one to end switches off; what
    `enable` has switched on stays on.
    """
    block = object()
    dispatch.install()
    with _lock:
        _blocks.add(block)
        dispatch.is_on = True
    try:
        yield
    finally:
        with _lock:
            _blocks.discard(block)
            dispatch.is_on = _enabled or bool(_blocks)


@dataclass(frozen=True, repr=False)
class Status:
    """What is on, and what became of the convolutions since the process began; print it."""

    enabled: bool
    """Whether tatamu computes torch's 2-D convolutions now."""
    devices: tuple[str, ...]
    """Where: 'cpu', and 'cuda' if this torch has it. Empty before it is first on."""
    forward: int
    """Convolutions that tatamu has computed for torch."""
    backward: int
    """Calls for their gradients; one call computes all that are wanted."""
    passed_on: Mapping[str, int]
    """Calls that were left to torch while tatamu was on: how many, by the reason."""

    def __repr__(self) -> str:
        lines = [f"tatamu is on ({', '.join(self.devices)})" if self.enabled else "tatamu is off"]
        lines.append(f"served: {self.forward} forward, {self.backward} backward")
        lines += [f"left to torch: {count} ({reason})" for reason, count in self.passed_on.items()]
        return "\n".join(lines)


def status() -> Status:
    """What is on, and how many convolutions were served, or left to torch and why."""
    forward, backward, passed_on = counting.counts()
    return Status(dispatch.is_on, tuple(dispatch.devices), forward, backward, passed_on)
