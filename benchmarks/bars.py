"""What tatamu should reach, and whether measurements do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from benchmarks import latency
from benchmarks.libraries import FROZEN, LIBRARIES, OURS
from benchmarks.memory import LIMIT
from benchmarks.models.__main__ import Made, ratio
from benchmarks.report import Row
from tatamu.measuring.timing import Timing
from tatamu.measuring.verify import PROMISE

MEAN_FORWARD = {1: 1.8, 16: 2.2}
MEAN_BEST_PEER = 1.4
MEAN_CHANNELS_LAST = 1.6
MEAN_AVX2 = 1.3
MEAN_GRADIENT = {"grad_input": 2.0, "grad_weight": 3.0}
MEAN_ELEMENT = {"bf16": 1.2, "f16": 5.0, "f64": 3.0}
WORST = 0.95
MODEL = {
    "inference": {"vgg16": 2.0, "resnet50": 1.5, "mobilenet_v2": 1.5, "unet": 2.0},
    "training": {"resnet18": 1.6, "mobilenet_v2": 1.6, "convnext_tiny": 1.2},
}


@dataclass(frozen=True)
class Bar:
    """A figure and what it should be: `at_least` the bar, or else at most."""

    what: str
    figure: float
    bar: float
    at_least: bool = True
    of: str = ""

    @property
    def reached(self) -> bool:
        """Whether it is what it should be."""
        return self.figure >= self.bar if self.at_least else self.figure <= self.bar


def layers(rows: Sequence[Row]) -> list[Bar]:
    """The bars of float32 layers, for the passes, batches and layouts that were measured."""
    rows = [row for row in rows if row.case.element == "f32"]
    found: list[Bar] = []
    for batch, bar in MEAN_FORWARD.items():
        chosen = [it for it in rows if it.case.direction == "forward" and it.case.batch == batch]
        planar = [it for it in chosen if it.layout == "NCHW"]
        last = [it for it in chosen if it.layout == "channels_last"]
        name = f"forward, batch {batch}"
        found += _mean(f"{name}, NCHW, vs torch's default call", planar, _vs_torch, bar)
        frozen = [it for it in planar if FROZEN in it.by]
        best = _vs_best_peer(chosen, FROZEN)
        found += _mean(f"{name}, NCHW, frozen, vs the best peer", frozen, best, MEAN_BEST_PEER)
        found += _worst_frozen(f"{name}, worst layer, frozen, vs constant weights", frozen)
        found += _mean(f"{name}, channels_last, vs torch channels_last", last, _vs_torch, MEAN_CHANNELS_LAST)
        found += _worst(f"{name}, worst layer", chosen)
    for direction, bar in MEAN_GRADIENT.items():
        for batch in MEAN_FORWARD:
            chosen = [it for it in rows if it.case.direction == direction and it.case.batch == batch]
            found += _mean(f"{direction}, batch {batch}, vs torch", chosen, _vs_torch, bar)
            found += _worst(f"{direction}, batch {batch}, worst layer", chosen)
    if rows:
        worst = max(rows, key=lambda row: row.by["tatamu"].error)
        error = worst.by["tatamu"].error
        found.append(Bar("largest error / max Σ|x||w|", error, PROMISE, False, str(worst.case.layer)))
    return found


def elements(rows: Sequence[Row]) -> list[Bar]:
    """The bars of other dtypes: the forward pass in NCHW, against torch's better layout."""
    found: list[Bar] = []
    for element, bar in MEAN_ELEMENT.items():
        chosen = [it for it in rows if it.case.element == element and it.case.direction == "forward"]
        better = _vs_best_peer(chosen)
        planar = [it for it in chosen if it.layout == "NCHW"]
        found += _mean(f"forward, {element}, vs torch's better layout", planar, better, bar)
    return found


def avx2(rows: Sequence[Row]) -> list[Bar]:
    """The bar of the forward pass without 512-bit instructions."""
    chosen = [row for row in rows if row.case.direction == "forward" and row.case.element == "f32"]
    return _mean("forward with AVX2, vs torch with AVX2", chosen, _vs_torch, MEAN_AVX2)


def models(made: Iterable[Sequence[Made]]) -> list[Bar]:
    """The bars of whole models, each measured in one go."""
    found = []
    for it in made:
        name, step = it[0].model, it[0].step
        what = f"{name}, {step}, batch {it[0].batch}, vs eager torch's better layout"
        found.append(Bar(what, ratio(it), MODEL[step][name]))
    return found


def overhead(measured: dict[str, tuple[Timing, Timing]]) -> list[Bar]:
    """The bars of a call on a tiny image."""
    return [
        Bar(f"tiny image, {kind}, vs torch", theirs.median / ours.median, 1.0)
        for kind, (ours, theirs) in measured.items()
    ]


def latencies(medians: dict[tuple[str, str], float]) -> list[Bar]:
    """The bars of first calls, in milliseconds."""
    return [Bar(f"{kind}: {name}, ms", it, latency.BARS[kind], False) for (kind, name), it in medians.items()]


def memory(extra: dict[str, tuple[float, float]]) -> list[Bar]:
    """The bar of memory beyond output and transformed weights, from MiB of each call and of its weight."""
    if not extra:
        return []
    worst = max(extra, key=lambda name: extra[name][0] - 4 * extra[name][1])
    taken, weight = extra[worst]
    return [Bar("extra memory, less 4 × the weight, MiB", taken - 4 * weight, LIMIT, False, worst)]


def _vs_torch(row: Row) -> float:
    return row.ratio("torch")


def _vs_best_peer(rows: Iterable[Row], ours: str = "tatamu") -> Callable[[Row], float]:
    """The fastest of every peer in every memory format against tatamu, or its frozen layer, in the row's."""
    best: dict[object, float] = {}
    for row in rows:
        for name, it in row.by.items():
            if name not in OURS:
                best[row.case] = min(it.timing.median, best.get(row.case, it.timing.median))
    return lambda row: best[row.case] / row.by[ours].timing.median


def _mean(what: str, rows: Sequence[Row], value: Callable[[Row], float], bar: float) -> list[Bar]:
    ratios = [value(row) for row in rows if "torch" in row.by]
    return [Bar(f"{what}, mean of {len(ratios)}", geometric_mean(ratios), bar)] if ratios else []


def _worst(what: str, rows: Sequence[Row]) -> list[Bar]:
    rows = [row for row in rows if "torch" in row.by]
    if not rows:
        return []
    worst = min(rows, key=_vs_torch)
    return [Bar(f"{what}, vs torch", _vs_torch(worst), WORST, of=f"{worst.case.layer} {worst.layout}")]


def _worst_frozen(what: str, rows: Iterable[Row]) -> list[Bar]:
    """Frozen layers against the faster of those peers that hold weights constant too."""
    found: list[tuple[float, str]] = []
    for row in rows:
        peers = [name for name in row.by if name not in OURS and LIBRARIES[name].constant_weights]
        if peers:
            theirs = min(row.by[name].timing.median for name in peers)
            found.append((theirs / row.by[FROZEN].timing.median, f"{row.case.layer} {row.layout}"))
    return [Bar(what, figure, WORST, of=of) for figure, of in [min(found)]] if found else []
