"""What was measured, in memory and as CSV: a line for each call, written as it is made."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from typing_extensions import Self

from benchmarks.case import Case
from benchmarks.layer import NETWORKS, Layer, load
from benchmarks.libraries import LIBRARIES
from tatamu.measuring.machine import version
from tatamu.measuring.timing import Timing

COLUMNS = (
    *("network", "layer", "shape", "pass", "batch", "dtype", "layout", "library", "version", "machine"),
    *("seconds", "deviation", "calls", "error"),
)


@dataclass(frozen=True)
class Measured:
    """One library's call on a case in one memory format. `error` is relative to the largest Σ|x||w|."""

    case: Case
    layout: str
    library: str
    timing: Timing
    error: float

    @property
    def gflops(self) -> float:
        """10⁹ operations a second, of those in the definition, however it was computed."""
        return 2 * self.case.geometry.macs / self.timing.median / 1e9


class Store:
    """A CSV file. What it already holds of this machine and these versions need not be measured again.

    Args:
        path: the file; it is made where there is none.
        machine: where it is measured; lines of other machines stay in the file and are not looked at.

    Raises:
        ValueError: the file is there and is not one of ours.
    """

    def __init__(self, path: Path, machine: str) -> None:
        self._machine = machine
        self._found: dict[tuple[Case, str, str], Measured] = {}
        new = not path.exists() or path.stat().st_size == 0
        if not new:
            self._read(path)
        self._file: TextIO = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        if new:
            self._write(COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def of(self, case: Case, asked: Iterable[tuple[str, str]]) -> list[Measured] | None:
        """What is known of a case, if everyone who is asked, by library and layout, was measured."""
        keys = [(case, library, layout) for library, layout in asked]
        return [self._found[key] for key in keys] if all(key in self._found for key in keys) else None

    def add(self, it: Measured) -> None:
        """Write a line."""
        case, timing = it.case, it.timing
        self._found[case, it.library, it.layout] = it
        self._write(
            (
                *(case.layer.network, case.layer.name, case.layer, case.direction, case.batch, case.element),
                *(it.layout, it.library, version(LIBRARIES[it.library].package), self._machine),
                *(f"{timing.median:.4g}", f"{timing.deviation:.2g}", timing.calls, f"{it.error:.2g}"),
            )
        )

    def _write(self, fields: Iterable[object]) -> None:
        self._writer.writerow(fields)
        self._file.flush()  # What is interrupted keeps what it has.

    def _read(self, path: Path) -> None:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError(f"{path} has other columns than these benchmarks write: name another file")
            layers = {
                (layer.network, layer.name, str(layer)): layer
                for network in NETWORKS
                for layer in load(network)
            }
            for line in reader:
                it = self._parsed(line, layers)
                if it is not None:
                    self._found[it.case, it.library, it.layout] = it

    def _parsed(self, line: dict[str, str], layers: dict[tuple[str, str, str], Layer]) -> Measured | None:
        library = LIBRARIES.get(line["library"])
        layer = layers.get((line["network"], line["layer"], line["shape"]))
        if library is None or layer is None:
            return None  # Measured before a change of the benchmarks.
        if (line["machine"], line["version"]) != (self._machine, version(library.package)):
            return None
        case = Case(layer, int(line["batch"]), line["pass"], line["dtype"])
        timing = Timing(float(line["seconds"]), float(line["deviation"]), int(line["calls"]))
        return Measured(case, line["layout"], line["library"], timing, float(line["error"]))
