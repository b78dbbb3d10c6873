"""Writes results: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.machine import Machine
from bench.measurement import OURS, Result, Row, Spread

_BEGIN = "<!-- measured: written by `make bench ARGS=--document` -->"
_END = "<!-- /measured -->"


def to_json(machine: Machine, command: str, results: Sequence[Result]) -> str:
    """Everything measured, as one JSON object."""
    document = {
        "command": command,
        "machine": asdict(machine),
        "figures": [asdict(result) for result in results],
    }
    return json.dumps(document, indent=2) + "\n"


def to_markdown(machine: Machine, command: str, results: Sequence[Result]) -> str:
    """A table for each figure, below a line on the machine."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    where = (
        f"`{command}` on {machine.processor}, {machine.cores} cores, Linux {machine.kernel}, "
        f"CPython {machine.python}, {packages}; load average before the run {machine.load}."
    )
    return "\n\n".join([where, *(table(result) for result in results)]) + "\n"


def table(result: Result) -> str:
    """A figure's rows; contenders in the order of the first row that has them."""
    others = list(dict.fromkeys(name for row in result.rows for name in row.values if name != OURS))
    header = ["", OURS, *others, "ratio", "target"]
    rows = [_cells(row, others) for row in result.rows]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"### {result.title}, {result.unit}\n\n{body}"


def document(path: Path, markdown: str) -> None:
    """Put the tables between the marks of a page; raises ``ValueError`` where it has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{path}: expected the lines {_BEGIN} and {_END}")
    path.write_text(f"{before}{begin}\n\n{markdown}\n{end}{after}", encoding="utf-8")


def _cells(row: Row, others: Sequence[str]) -> list[str]:
    values = [_shown(row.values.get(name), row.message_bytes) for name in (OURS, *others)]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} × {row.reference}"
    return [row.case, *values, ratio, _verdict(row)]


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    sign = " ×" if row.target.of == "ratio" else ""
    return f"≤ {row.target.limit:g}{sign}: {'reached' if row.reached else '**missed**'}"


def _shown(spread: Spread | None, message_bytes: int | None) -> str:
    """The median, and the 99th percentile where a round has several samples."""
    if spread is None:
        return "–"
    if message_bytes is not None:
        return f"{_number(spread.p50)} ({_number(spread.p50 * message_bytes / 1e9)} GB/s)"
    if spread.p50 == spread.p99:
        return _number(spread.p50)
    return f"{_number(spread.p50)} / {_number(spread.p99)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
