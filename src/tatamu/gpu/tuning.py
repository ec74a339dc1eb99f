"""Tiles by measurement, where `torch.backends.cudnn.benchmark` asks for it as it does of cuDNN.

What was measured is kept on disk beside the CPU's kernels, by GPU, versions, and all that a tile depends on;
a layer is measured once. Nothing is measured while a CUDA graph is captured, nor where results are to be the
same bits in every process (`torch.use_deterministic_algorithms`): the rules of `tiles` choose then.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from statistics import median
from typing import Protocol, TypeVar

import torch
from triton.runtime.errors import OutOfResources

from tatamu.engine.runtime import cache
from tatamu.gpu.lowering.common import Launch
from tatamu.gpu.processor import Processor
from tatamu.gpu.tiles import Tile

_ROUNDS = 7
_LONG = 2.0
"""Seconds after which a tuning says what it does."""
_FILE = "gpu-tiles.json"


class Tiled(Protocol):
    """A lowered pass."""

    @property
    def tile(self) -> Tile:
        """Its tile."""


_Lowered = TypeVar("_Lowered", bound=Tiled)
_known: dict[str, Tile] = {}


def is_wanted(device: torch.device) -> bool:
    """Whether tiles are to be measured now, on this device."""
    if device.type != "cuda" or not torch.backends.cudnn.benchmark:
        return False
    return not torch.are_deterministic_algorithms_enabled()


def candidates(tile: Tile, *, products: bool) -> list[Tile]:
    """The tile that the rules choose, and its neighbours."""
    found = [tile]
    pairs = [(1, 2), (2, 1), (1, 0.5), (0.5, 1), (0.5, 2), (2, 0.5)]
    for pixels, channels in pairs:
        near = replace(tile, pixels=int(tile.pixels * pixels), channels=int(tile.channels * channels))
        found.append(near)
    if products:
        found += [replace(it, depth=it.depth // 2) for it in found[:3]]
    found += [replace(tile, warps=warps) for warps in (2, 4, 8)]
    found += [replace(tile, stages=stages) for stages in (2, 3, 4, 5)] if products else []
    least = 16 if products else 1
    sizes = [(it, min(it.pixels, it.channels, it.depth if products else least)) for it in found]
    return list(dict.fromkeys(it for it, size in sizes if size >= least))


def tuned(
    lowered: _Lowered,
    name: str,
    processor: Processor,
    lower: Callable[[Tile], _Lowered],
    launches: Callable[[_Lowered], Sequence[Launch]],
) -> _Lowered:
    """The pass with the fastest of its tiles: a known one, or measured now on the operands that are there."""
    key = f"{processor.name} {_versions()} {name}"
    if not _known:
        _known.update(_load())
    if key not in _known:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            return lowered
        _known[key] = fastest(lowered.tile, name, lambda tile: _measured(lambda: launches(lower(tile))))
        _store()
    return lowered if _known[key] == lowered.tile else lower(_known[key])


def fastest(tile: Tile, name: str, measure: Callable[[Tile], float]) -> Tile:
    """The candidate that takes the fewest seconds; those that do not fit the GPU take none."""
    # A product's tiles have a depth of their own.
    among = candidates(tile, products=tile.depth >= 16)
    began, best, least = time.monotonic(), tile, float("inf")
    said = False
    for number, candidate in enumerate(among, 1):
        if time.monotonic() - began > _LONG:
            said = True
            progress = f"tatamu tunes {name.partition(' ')[0]}: {number} of {len(among)}"
            print(f"\r{progress}", end="", file=sys.stderr)  # noqa: T201  # A line of progress.
        with contextlib.suppress(OutOfResources):
            seconds = measure(candidate)
            if seconds < least:
                best, least = candidate, seconds
    if said:
        print(file=sys.stderr)  # noqa: T201
    return best


def _measured(launches: Callable[[], Sequence[Launch]]) -> float:
    """Seconds that a pass takes on the GPU, its workspace included."""
    for it in launches():
        it.run()
    took = []
    for _ in range(_ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch's.
        begin.record()
        for it in launches():
            it.run()
        end.record()
        end.synchronize()
        took.append(float(begin.elapsed_time(end)) / 1e3)
    return median(took)


def _versions() -> str:
    triton, tatamu = (importlib.metadata.version(package) for package in ("triton", "tatamu"))
    return f"torch {torch.__version__} triton {triton} tatamu {tatamu}"


def _path() -> Path:
    return cache.directory() / _FILE


def _load() -> dict[str, Tile]:
    """What is on disk; whatever is no table of tiles counts as nothing."""
    try:
        content = json.loads(_path().read_text(encoding="utf-8"))
        return {str(key): Tile(*map(int, numbers)) for key, numbers in content.items()}
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError):
        return {}


def _store() -> None:
    """Keep everything, whole or not at all; a directory that cannot be written is no error."""
    content = json.dumps({key: astuple(tile) for key, tile in {**_load(), **_known}.items()}, indent=0)
    with contextlib.suppress(OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".new", delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
