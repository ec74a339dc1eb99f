"""``python -m tatamu``: runs a program as Python itself would, after `tatamu.enable()`."""

from __future__ import annotations

import atexit
import importlib.util
import io
import multiprocessing
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import click

from tatamu.adopt import counting, report, switch

_OWN_FILES = {__file__, str(Path(__file__).parents[1] / "__main__.py"), runpy.__file__, "<frozen runpy>"}
"""Of the frames that Python itself would not have."""

_EPILOG = """\b
Examples:
  python -m tatamu train.py --epochs 3
  python -m tatamu --report -m package.train --epochs 3
  torchrun --nproc-per-node 2 -m tatamu train.py"""


@click.command(
    "python -m tatamu",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False},
)
@click.option("-m", "as_module", is_flag=True, help="PROGRAM is the name of a module, as for python -m.")
@click.option("--report", "wants_report", is_flag=True, help="Say at the end what was served, and its cost.")
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(as_module: bool, wants_report: bool, program: str, arguments: tuple[str, ...]) -> Any:
    """Run a Python program, unedited, whose 2-D convolutions tatamu computes.

    PROGRAM is a script, or a folder or archive with a __main__.py; what follows it is its own. What must be
    set before torch is imported (OMP_NUM_THREADS, …) is set outside: torch is there when the program begins.
    """
    return as_module, wants_report, program, list(arguments)


def main() -> None:
    """Run the program that the command line names.

    It ends as it would without tatamu: with its own exit code, or with a traceback of its own frames. Its
    children by `multiprocessing` have tatamu underneath too, however they are started; those by `subprocess`
    have not.
    """
    try:
        parsed = command.main(standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"tatamu: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    if not isinstance(parsed, tuple):  # --help has been shown.
        return
    as_module, wants_report, program, arguments = parsed
    start = _module if as_module else _script
    sys.argv = [program, *arguments]
    sys.excepthook = _without_own_frames(sys.excepthook)
    switch.enable()
    _hand_down()
    if wants_report:
        _report_at_exit()
    start(program)


def _script(path: str) -> None:
    if not Path(path).exists():
        _refuse(f"can't open file {path!r}: no such file", 2)
    if pkgutil.get_importer(path) is not None or path.endswith(".pyc"):
        _set_path(path)
        runpy.run_path(path, run_name="__main__")
        return
    file = os.path.abspath(path)  # noqa: PTH100  # As Python itself names it: links are not followed.
    _set_path(str(Path(file).resolve().parent))
    with io.open_code(file) as opened:
        code = compile(opened.read(), file, "exec", dont_inherit=True)
    module = ModuleType("__main__")
    module.__file__ = file
    # For good: what threads, pickles and exit functions find is the program's as long as the process lives.
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def _module(name: str) -> None:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        _refuse(f"No module named {name}", 1)
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _refuse(sentence: str, status: int) -> None:
    click.echo(f"tatamu: {sentence}", err=True)
    sys.exit(status)


def _set_path(first: str) -> None:
    """Where the program's imports are looked for first; Python has put the working directory there."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = first


def _without_own_frames(hook: Callable[..., Any]) -> Callable[..., Any]:
    """What shows an exception, less the frames that led to the program's own."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename in _OWN_FILES:
            trace = trace.tb_next
        hook(kind, error.with_traceback(trace), trace)

    return show


def _report_at_exit() -> None:
    costs, process = counting.measure(), os.getpid()

    def show() -> None:
        if os.getpid() == process:  # No child that was forked.
            report.show(switch.status(), costs)

    atexit.register(show)


class _Inherited:
    """Part of what a process hands down to its children: once it is unpickled there, tatamu is on."""

    def __reduce__(self) -> tuple[Callable[[], _Inherited], tuple[()]]:
        return _inherit, ()


def _inherit() -> _Inherited:
    switch.enable()
    return _Inherited()


def _hand_down() -> None:
    """Enable children too that are not forked but started anew."""
    configuration = getattr(multiprocessing.current_process(), "_config", None)
    if isinstance(configuration, dict):
        configuration["tatamu"] = _Inherited()
