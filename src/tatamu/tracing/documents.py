"""A trace as HTML, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from html import escape
from typing import Any

from tatamu.errors.tracing import described
from tatamu.tracing.fields.queries import Window
from tatamu.tracing.rows import Row
from tatamu.tracing.steps import Step, Value
from tatamu.tracing.table import HEADINGS, RIGHT, cells
from tatamu.tracing.walk import Walk

_STYLE = """
.tatamu { font: 14px/1.4 system-ui, sans-serif; }
.tatamu table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.tatamu th { text-align: left; border-bottom: 1px solid; position: sticky; top: 0; background: Canvas; }
.tatamu th, .tatamu td { padding: 2px 10px 2px 0; vertical-align: top; background-clip: padding-box; }
.tatamu .right { text-align: right; }
.tatamu code { font: 13px ui-monospace, monospace; }
.tatamu pre { font: 13px/1.4 ui-monospace, monospace; border-left: 4px solid #c62828; padding-left: 10px;
  white-space: pre-wrap; }
"""


def fragment(summary: str, rows: Sequence[Row], problem: Sequence[str]) -> str:
    """The table with its style, to be put into a page (as notebooks do)."""
    heads = "".join(f'<th scope="col"{_class(it)}>{it}</th>' for it in HEADINGS)
    lines = "\n".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    broken = f"<pre>{escape(chr(10).join(problem))}</pre>\n" if problem else ""
    return (
        f'<div class="tatamu"><style>{_STYLE}</style>\n{broken}'
        f"<table>\n<caption>{escape(summary)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>\n"
    )


def page(model: str, summary: str, rows: Sequence[Row], problem: Sequence[str]) -> str:
    """The table as a page that needs nothing else, light or dark as the reader has it."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(model)}</title>\n'
        '<meta name="viewport" content="width=device-width">'
        "<style>:root { color-scheme: light dark; }</style>"
        f"</head>\n<body>\n{fragment(summary, rows, problem)}</body></html>\n"
    )


def _class(heading: str) -> str:
    return ' class="right"' if heading in RIGHT else ""


def _cells(row: Row) -> str:
    words = dict(zip(HEADINGS, cells(row), strict=True))
    coded = {it: f"<code>{escape(words[it])}</code>" for it in ("path", "layer")}
    return "".join(f"<td{_class(it)}>{coded.get(it, escape(words[it]))}</td>" for it in HEADINGS)


def markdown(summary: str, rows: Sequence[Row], problem: Sequence[str]) -> str:
    """The table in GitHub's Markdown."""
    rule = ["---:" if it in RIGHT else "---" for it in HEADINGS]
    lines = [HEADINGS, rule, *map(cells, rows)]
    table = "\n".join(f"| {' | '.join(it.replace('|', chr(92) + '|') for it in line)} |" for line in lines)
    broken = ["", "```", *problem, "```"] if problem else []
    return "\n".join([f"{summary}.", "", table, *broken]) + "\n"


def json_text(model: str, walk: Walk, rows: Sequence[Row], parameters: int, problem: Sequence[str]) -> str:
    """All figures as JSON."""
    found = {
        "model": model,
        "inputs": walk.sizes,
        "fits": not problem,
        "parameters": parameters,
        "multiply_adds": sum(it.macs for it in rows),
        "layers": [_layer(it) for it in rows],
        "failure": _failure(walk, problem),
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def _layer(row: Row) -> dict[str, Any]:
    return {
        "path": row.path,
        "layer": row.layer,
        "output": row.output,
        "receptive_field": None if row.windows is None else _windows(row.windows),
        "exact": row.is_exact,
        "parameters": row.parameters,
        "multiply_adds": row.macs,
        "share": round(row.share, 6),
        "plan": row.plan,
    }


def _windows(windows: Sequence[Window]) -> dict[str, Any]:
    return {
        "size": [it.size for it in windows],
        "jump": [None if it.jump is None else _number(it.jump) for it in windows],
        "start": [it.start for it in windows],
        "whole_image": [it.is_whole for it in windows],
    }


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _failure(walk: Walk, problem: Sequence[str]) -> dict[str, Any] | None:
    failure = walk.failure
    if failure is None:
        return None
    pairs = zip(failure.values, failure.set_by, strict=True)
    return {
        "path": failure.path,
        "function": failure.function,
        "operator": failure.operator,
        "tensors": [_tensor(value, setter) for value, setter in pairs],
        "error": described(failure.error),
        "text": list(problem),
    }


def _tensor(value: Value, setter: Step | None) -> dict[str, Any]:
    by = None if setter is None else {"path": setter.path, "function": setter.function}
    return {"size": value.shape, "name": value.name or None, "set_by": by}
