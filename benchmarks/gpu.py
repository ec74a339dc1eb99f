"""tatamu against cuDNN on a GPU: `python -m benchmarks --device cuda` settles it in one run.

First the whole suite of `tests/gpu` on the device; then every layer, each pass, in both memory formats:
judged against float64, then timed. What is timed is a CUDA graph of calls on operands that take turns,
together more than the L2 holds, so that neither Python nor a warm cache counts; device events, the median of
some replays.
cuDNN runs with `torch.backends.cudnn.benchmark`, tatamu with the tuning that it asks for.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean, median

import torch
from torch import Tensor

from benchmarks.case import Case
from tatamu.autograd import operators
from tatamu.measuring.machine import version
from tatamu.measuring.passes import LAYOUTS, PASSES, Operands, operands, reduction
from tatamu.measuring.verify import expected

FOLDER = Path(__file__).parent / "results"
BATCHES = (32, 256)
ELEMENTS = ("bf16", "f16", "f32")
"""f32 is measured with TF32, torch's default for convolutions."""
LIBRARIES = ("tatamu", "cuDNN")
_REPLAYS = 9
_MOST_SETS = 8
_ROUNDING = {"bf16": 2**-8, "f16": 2**-11, "f32": 0.0}
_FACTORS = {"bf16": 0.0, "f16": 0.0, "f32": 2**-10}
"""TF32 rounds both factors of a product to 11 bits."""

Call = Callable[[], object]
Clock = Callable[[Sequence[Call]], float]


@dataclass(frozen=True)
class Result:
    """Seconds of one call of a library in a memory format, and its largest error / the largest Σ|x||w|."""

    case: Case
    layout: str
    library: str
    seconds: float
    error: float


def call(case: Case, library: str, x: Tensor, w: Tensor, gy: Tensor) -> Callable[[], Tensor]:
    """One pass, without the autograd engine: it does not run in a graph that its forward pass is not in."""
    how, last = case.geometry.convolution, x.is_contiguous(memory_format=torch.channels_last)
    if library == "tatamu":
        rest = how, last
        return {
            "forward": lambda: operators.convolution(x, w, None, how),
            "grad_input": lambda: operators.grad_input(gy, w, x.shape, *rest),
            "grad_weight": lambda: operators.grad_weight(gy, x, w.shape, *rest),
        }[case.direction]
    padding = [how.padding[0][0], how.padding[1][0]]
    if case.direction == "forward":
        return lambda: torch.nn.functional.conv2d(
            x, w, None, how.stride, tuple(padding), how.dilation, how.groups
        )
    mask = [case.direction == "grad_input", case.direction == "grad_weight", False]
    arguments = (how.stride, padding, how.dilation, False, [0, 0], how.groups, mask)
    which = mask.index(True)

    def backward() -> Tensor:
        result: Tensor = torch.ops.aten.convolution_backward(gy, x, w, None, *arguments)[which]
        return result

    return backward


def error(case: Case, result: Tensor, judge_of: Operands) -> float:
    """The largest error relative to the largest Σ|x||w|.

    Raises:
        ValueError: it is more than rounding explains.
    """
    judge = expected(case, judge_of)
    if case.direction == "grad_weight":
        result = result.unsqueeze(0)
    largest = judge.magnitude.max().item()
    terms = reduction(case) * torch.finfo(torch.float32).eps
    worst = 0.0
    for part, image in zip(result, judge.pattern.tolist(), strict=True):
        off = (part.double() - judge.values[image]).abs()
        allowed = (terms + _FACTORS[case.element]) * judge.magnitude[image]
        allowed += _ROUNDING[case.element] * (judge.values[image].abs() + allowed) + 2**-24
        if not bool((off <= allowed).all()):
            raise ValueError(f"wrong on {case}: {off.max().item() / largest:.1e} of the largest sum")
        worst = max(worst, off.max().item())
    return worst / largest


def measure(case: Case, device: torch.device, clock: Clock, sets: int) -> list[Result]:
    """Judge, then time, both libraries in both memory formats."""
    given = operands(case, 0)
    given = Operands(*(getattr(given, it).to(device) for it in ("weight", "pattern", "images", "grads")))
    found = []
    for layout, form in LAYOUTS.items():
        turns = [
            tuple(it.clone(memory_format=form) for it in (given.input, given.weight, given.grad_output))
            for _ in range(sets)
        ]
        for library in LIBRARIES:
            calls = [call(case, library, *them) for them in turns]
            off = error(case, calls[0](), given)
            found.append(Result(case, layout, library, clock(calls) / sets, off))
    return found


def by_events(calls: Sequence[Call]) -> float:
    """Seconds of all calls, one after the other, as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for it in calls:
            it()  # Tiles are measured and kernels compiled now.
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [it() for it in calls]
    took = []
    for _ in range(_REPLAYS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        took.append(begin.elapsed_time(end) / 1e3)
    del kept
    return median(took)


def sets_of(case: Case, cache: int) -> int:
    """How many operands take turns: more than twice the cache together."""
    each = case.geometry.bytes_moved(case.dtype.itemsize, bias=False)
    return min(max(2, -(-2 * cache // each) + 1), _MOST_SETS)


def conclusions(results: Iterable[Result]) -> list[str]:
    """The geometric mean and the least of cuDNN's time in its better format / tatamu's, in Markdown."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    times: dict[tuple[Case, str], dict[str, float]] = {}
    for it in results:
        times.setdefault((it.case, it.library), {})[it.layout] = it.seconds
    for (case, library), mine in times.items():
        best = min(times.get((case, "cuDNN"), {"": float("nan")}).values())
        kind = "grouped" if case.layer.groups > 1 else "dense"
        for layout, seconds in mine.items() if library == "tatamu" else ():
            key = (case.direction, case.element, str(case.batch), layout, kind)
            found.setdefault(key, {})[f"{case.layer.network} {case.layer}"] = best / seconds
    lines = ["| pass | dtype | batch | format | layers | number | mean | least | of |", "| --- " * 9 + "|"]
    for key, ratios in found.items():
        least = min(ratios, key=ratios.__getitem__)
        mean = geometric_mean(ratios.values())
        cells = (*key, str(len(ratios)), f"{mean:.2f}", f"{ratios[least]:.2f}", least)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(everything: Sequence[Case]) -> int:
    """The command. Returns 1 if a test failed or a result was wrong, 2 without a GPU, else 0."""
    if not torch.cuda.is_available():
        print("There is no GPU that torch can use: nothing was measured.", file=sys.stderr)
        return 2
    tests = [sys.executable, "-m", "pytest", "-q", "tests/gpu"]
    failed = subprocess.run(tests, cwd=FOLDER.parents[1], check=False).returncode != 0
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda", torch.cuda.current_device())
    properties = torch.cuda.get_device_properties(device)
    driver = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    machine = (
        f"{properties.name}, driver {' '.join(driver[:1])}, CUDA {torch.version.cuda}, cuDNN "
        f"{torch.backends.cudnn.version()}, torch {torch.__version__}, Triton {version('triton')}"
    )
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{properties.name.replace(' ', '_')}.csv"
    results, wrong = [], []
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([machine])
        table.writerow(["network", "layer", "pass", "batch", "dtype", "format", "library", "ms", "error"])
        for number, case in enumerate(everything, 1):
            print(f"\r{number} of {len(everything)}: {case}\033[K", end="", file=sys.stderr)
            try:
                measured = measure(case, device, by_events, sets_of(case, properties.L2_cache_size))
            except (ValueError, RuntimeError) as problem:  # Out of memory is one of them.
                wrong.append(f"{case}: {problem}")
                torch.cuda.empty_cache()
                continue
            results += measured
            for it in measured:
                names = it.case.layer.network, str(it.case.layer), it.case.direction, it.case.batch
                numbers = f"{it.seconds * 1e3:.4f}", f"{it.error:.1e}"
                table.writerow([*names, it.case.element, it.layout, it.library, *numbers])
            file.flush()
    text = "\n".join([machine, "", *conclusions(results), "", *wrong, ""])
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    return 1 if failed or wrong else 0


__all__ = ["BATCHES", "ELEMENTS", "PASSES", "main", "measure"]
