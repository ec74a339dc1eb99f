"""Which tiles are tried, and what is kept of that; nothing is timed here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from triton.runtime.errors import OutOfResources

from tatamu.gpu import tuning
from tatamu.gpu.processor import NOMINAL
from tatamu.gpu.tiles import Tile

TILE = Tile(128, 64, 32, 4, 3)


@dataclass(frozen=True)
class Lowered:
    tile: Tile


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TATAMU_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "_known", {})


def test_the_fastest_is_chosen() -> None:
    times = dict.fromkeys(tuning.candidates(TILE, products=True), 1.0)
    assert TILE in times
    assert len(times) > 8
    best = [*times][5]
    times[best] = 0.5
    assert tuning.fastest(TILE, "forward", times.__getitem__) == best


def test_a_tile_that_does_not_fit_is_passed_over() -> None:
    def measure(tile: Tile) -> float:
        if tile == TILE:
            raise OutOfResources(1, 0, "shared memory")
        return tile.pixels

    assert tuning.fastest(TILE, "forward", measure).pixels < TILE.pixels


def test_tiles_of_multiply_adds_keep_their_depth() -> None:
    found = tuning.candidates(Tile(8, 64, 1, 4, 2), products=False)
    assert {it.depth for it in found} == {1}
    assert all(it.pixels >= 1 and it.channels >= 1 for it in found)


def test_what_was_measured_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = Tile(64, 64, 32, 4, 3)
    monkeypatch.setattr(tuning, "fastest", lambda *_: other)

    def tune() -> Lowered:
        return tuning.tuned(Lowered(TILE), "forward of something", NOMINAL, Lowered, lambda _: [])

    assert tune().tile == other
    monkeypatch.setattr(tuning, "fastest", None)  # It is not called again,
    assert tune().tile == other
    monkeypatch.setattr(tuning, "_known", {})  # nor by another process,
    assert tune().tile == other
    monkeypatch.setattr(tuning, "_known", {})
    (tmp_path / "cache" / "gpu-tiles.json").write_text("damaged")
    monkeypatch.setattr(tuning, "fastest", lambda *_: TILE)  # but where the file is damaged.
    assert tune().tile == TILE


def test_nothing_is_measured_unless_asked() -> None:
    assert not tuning.is_wanted(torch.device("cpu"))
    assert not tuning.is_wanted(torch.device("cuda", 0))  # cudnn.benchmark is off.
