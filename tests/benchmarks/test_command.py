"""`python -m benchmarks` measures everyone who is asked, keeps what it has measured, and shows it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from benchmarks import __main__ as command
from benchmarks import layer, libraries, results, run
from benchmarks.case import Case
from benchmarks.layer import Layer
from benchmarks.libraries import LIBRARIES, asked, contenders
from benchmarks.report import rows, show_means, show_rows
from benchmarks.results import Measured, Store
from tatamu.measuring.passes import PASSES, operands, prepare
from tatamu.measuring.timing import Timing

SMALL = Layer("small", "one", 4, 6, (3, 3), 2, (1, 1), 2, 2, 9, 1)
POINT = Layer("n", "l", 5, 5, (1, 1), 1, (0, 0), 1, 1, 7, 1)


def _measured(it: Layer, seconds: float, library: str = "torch", layout: str = "NCHW") -> Measured:
    return Measured(Case(it, 1, "forward"), layout, library, Timing(seconds, 0, 1), 1e-7)


def test_timings_go_to_the_calls_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Case(SMALL, 1, "forward")
    order = [(one.library, one.layout) for one in contenders(it, operands(it, 0), ["torch"])]
    assert order == asked(it, ["torch"])
    seconds = {key: 1.0 + place for place, key in enumerate(order)}
    monkeypatch.setattr(
        run,
        "measure",
        lambda calls, _: [Timing(seconds[key], 0, 1) for key, _ in zip(order, calls, strict=True)],
    )
    measured, remarks = run.measure_case(it, ["torch"], 0.001)
    assert not remarks
    assert {(one.library, one.layout): one.timing.median for one in measured} == seconds


def test_means_are_geometric_and_name_the_lowest() -> None:
    measured = [_measured(it, 1.0, "tatamu") for it in (SMALL, POINT)]
    measured += [_measured(SMALL, 8.0), _measured(POINT, 2.0), _measured(POINT, 0.5, "openvino")]
    text = io.StringIO()
    out = Console(file=text, width=120)
    show_rows(out, rows(measured))
    show_means(out, rows(measured))
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert ["forward", "1", "f32", "NCHW", "torch", "2", "4.00", "2.00", "1×1", "5→5", "@7"] in lines
    assert ["forward", "1", "f32", "NCHW", "openvino", "1", "0.50", "0.50", "1×1", "5→5", "@7"] in lines
    assert any("openvino*" in line for line in lines)
    (point,) = (line for line in lines if line[:4] == ["1×1", "5→5", "@7", "NCHW"])
    assert "0.50×" in point


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command's only network is a tiny one; the path is for its CSV."""
    (tmp_path / "tiny.txt").write_text("conv 4 4 3 1 1 1 1 6 1\ndw 4 4 3 1 1 1 4 6 1\n", encoding="utf-8")
    monkeypatch.setattr(layer, "_FOLDER", tmp_path)
    monkeypatch.setattr("tatamu.measuring.timing.PAUSE", 0)
    for module in (command, results):
        monkeypatch.setattr(module, "NETWORKS", ("tiny",))
    return tmp_path / "out.csv"


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


QUICK = ["--networks", "tiny", "--seconds", "0.0001", "--csv"]


def test_the_command_writes_a_line_for_each_call(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*QUICK, str(tiny), "--dtypes", "f32", "bf16", "--passes", "forward"]) == 0
    lines = _lines(tiny)
    keys = {
        tuple(line[key] for key in ("layer", "pass", "batch", "dtype", "layout", "library")) for line in lines
    }
    assert len(keys) == len(lines) == 2 * 1 * 2 * 2 * 2 * 2
    assert all(float(line["seconds"]) > 0 and 0 <= float(line["error"]) < 1e-2 for line in lines)
    out = capsys.readouterr().out
    assert all(f"tiny: forward, batch {batch}, {it}" in out for it in ("f32", "bf16") for batch in (1, 16))
    assert "geometric mean" in out
    assert f"torch {version('torch')}" in out


def test_what_was_measured_is_not_measured_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [*QUICK, str(tiny), "--batch", "1", "--passes"]
    command.main([*options, "forward"])
    before = tiny.read_bytes()
    measured: list[str] = []
    original = run.measure_case

    def counted(case: Case, *arguments: object) -> object:
        measured.append(f"{case.layer.name} {case.direction}")
        return original(case, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "measure_case", counted)
    assert command.main([*options, "forward", "grad_input"]) == 0
    assert measured == ["conv grad_input", "dw grad_input"]
    assert tiny.read_bytes().startswith(before)
    # Interrupted between the lines of a case: the case is measured again.
    tiny.write_bytes(b"".join(before.splitlines(keepends=True)[:-1]))
    del measured[:]
    command.main([*options, "forward"])
    assert measured == ["dw forward"]
    # Another version of a library, or another machine: everything is.
    for it in ("version", "described"):
        del measured[:]
        monkeypatch.setattr(
            *((results, "version", lambda _: "0") if it == "version" else (command, it, lambda _: "another"))
        )
        command.main([*options, "forward"])
        assert len(measured) == 2


def test_what_is_kept_is_read_as_it_was_measured(tiny: Path) -> None:
    case = Case(layer.load("tiny")[0], 3, "grad_weight", "f16")
    it = Measured(case, "channels_last", "torch", Timing(0.125, 0.5, 7), 0.25)
    with Store(tiny, "here") as store:
        assert store.of(case, [("torch", "channels_last")]) is None
        store.add(it)
    with Store(tiny, "here") as store:
        assert store.of(case, [("torch", "channels_last")]) == [it]
        assert store.of(case, [("torch", "NCHW"), ("torch", "channels_last")]) is None


def test_another_file_is_not_written_to(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write_text("a,b\n1,2\n", encoding="utf-8")
    assert command.main([*QUICK, str(tiny)]) == 2
    assert tiny.read_text(encoding="utf-8") == "a,b\n1,2\n"
    assert "has other columns" in capsys.readouterr().err


def _off_by_a_thousandth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's depthwise layers are wrong."""

    def conv2d(x: Tensor, w: Tensor, *arguments: int) -> Tensor:
        y: Tensor = torch.nn.functional.conv2d(x, w, *arguments)
        return y * (1.001 if w.shape[1] == 1 else 1)

    wrong = replace(LIBRARIES[name], prepare=lambda case, *them: prepare(case, conv2d, *them))
    monkeypatch.setitem(LIBRARIES, name, wrong)


def test_a_wrong_result_is_no_line(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _off_by_a_thousandth("tatamu", monkeypatch)
    assert command.main([*QUICK, str(tiny), "--batch", "1", "--passes", "forward"]) == 1
    assert {line["layer"] for line in _lines(tiny)} == {"conv"}
    assert "tatamu in NCHW is wrong on tiny dw" in capsys.readouterr().err


def test_a_peers_wrong_result_is_no_line_either(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _off_by_a_thousandth("torch", monkeypatch)
    assert command.main([*QUICK, str(tiny), "--batch", "1", "--passes", "forward"]) == 0
    assert {line["library"] for line in _lines(tiny) if line["layer"] == "dw"} == {"tatamu"}
    assert "torch in NCHW is wrong on tiny dw" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_left_out(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda _: None)
    arguments = [*QUICK, str(tiny), "--batch", "1", "--passes", "forward", "--peers", "openvino", "torch"]
    assert command.main(arguments) == 0
    assert "openvino is left out: openvino not installed." in capsys.readouterr().out
    assert {line["library"] for line in _lines(tiny)} == {"tatamu", "torch"}


def test_the_chart_names_everyone_and_the_peak(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("benchmarks.chart.peak", lambda _: 123.4e9)
    chart = tiny.with_suffix(".svg")
    arguments = [*QUICK, str(tiny), "--batch", "1", "--passes", *PASSES[:2], "--chart", str(chart)]
    assert command.main(arguments) == 0
    text = chart.read_text(encoding="utf-8")
    for part in (
        "tatamu, NCHW",
        "torch, channels_last",
        "float32: 123",
        f"torch {version('torch')}",
        "dw 3×3",
    ):
        assert f"<!-- {part}" in text or part in text


@pytest.mark.parametrize(
    "options", [["--batch", "0"], ["--networks", "nonesuch"], ["--passes", "backward"], ["--dtypes", "i8"]]
)
def test_the_command_refuses_what_it_does_not_know(options: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(options)
    assert stopped.value.code == 2
