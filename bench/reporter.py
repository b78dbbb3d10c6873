"""Writes results: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.machine import Machine
from bench.measurement import OURS, Result, Row, Spread, Target, Verdict

_BEGIN = "<!-- measured: written by `make bench ARGS=--document` -->"
_END = "<!-- /measured -->"
_WORD = {True: "reached", False: "**missed**"}


def to_json(machine: Machine, command: str, results: Sequence[Result]) -> str:
    """Everything measured, as one JSON object."""
    document = {
        "command": command,
        "machine": asdict(machine),
        "figures": [asdict(result) for result in results],
    }
    return json.dumps(document, indent=2) + "\n"


def to_markdown(machine: Machine, command: str, results: Sequence[Result]) -> str:
    """A section for each figure, below a line on the machine."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    where = (
        f"`{command}` on {machine.processor}, {machine.cores} cores, Linux {machine.kernel}, "
        f"CPython {machine.python}, {packages}; load average before the run {machine.load}."
    )
    return "\n\n".join([where, *(section(result) for result in results)]) + "\n"


def section(result: Result) -> str:
    """A figure for people: its table, then a line for each target."""
    lines = [_promise(row, verdict, result.unit) for row in result.rows for verdict in row.verdicts]
    parts = [f"### {result.title}, {result.unit}", table(result), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part)


def table(result: Result) -> str:
    """Cases and contenders, the longer list down; ours first, the others as they come."""
    names = [OURS, *_others(result.rows)]
    grid = [[_shown(row, name) for name in names] for row in result.rows]
    across, down = names, [row.case for row in result.rows]
    if len(names) > len(down):
        across, down = down, names
        grid = [list(cells) for cells in zip(*grid, strict=True)]
    lines = [["", *across], ["---"] + ["---:"] * len(across)]
    lines += [[head, *cells] for head, cells in zip(down, grid, strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def document(path: Path, markdown: str) -> None:
    """Put the tables between the marks of a page; raises ``ValueError`` where it has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{path}: expected the lines {_BEGIN} and {_END}")
    path.write_text(f"{before}{begin}\n\n{markdown}\n{end}{after}", encoding="utf-8")


def _others(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in (*row.values, *row.missing))
    return [name for name in names if name != OURS]


def _shown(row: Row, name: str) -> str:
    """A contender's figure, and how many times that of ours is."""
    if name in row.missing:
        return " ".join(row.missing[name].split()).replace("|", "\\|")
    if name not in row.values:
        return "–"
    shown = _spread(row.values[name], row.message_bytes)
    return f"{shown} · {_ratio(row.ratios[name])}" if name in row.ratios else shown


def _spread(spread: Spread, message_bytes: int | None) -> str:
    """The median, and the 99th percentile where a round has several samples."""
    if message_bytes is not None:
        return f"{_number(spread.p50)} ({_number(spread.p50 * message_bytes / 1e9)} GB/s)"
    if spread.p50 == spread.p99:
        return _number(spread.p50)
    return f"{_number(spread.p50)} / {_number(spread.p99)}"


def _promise(row: Row, verdict: Verdict, unit: str) -> str:
    """What was promised of a row, what came out, and whether that is it."""
    target, measured = verdict.target, verdict.measured
    wanted, shown = _bound(target, unit)
    if measured is None:
        why = row.missing.get(target.of or "", "not measured")
        return f"- {row.case}: {wanted}: can't be judged ({why})"
    return f"- {row.case}: {wanted}: {shown(measured)}, {_WORD[verdict.reached is True]}"


def _bound(target: Target, unit: str) -> tuple[str, Callable[[float], str]]:
    """A target in words, and how to say what was measured in the same words."""
    how = "at least" if target.at_least else "at most"
    if target.of is None:
        return f"{how} {_number(target.limit)} {unit}", _number
    if target.times is not None:
        beyond = f"{_number(target.limit)} {unit} more than {target.times:g} × {target.of}"
        return f"{how} {beyond}", _number
    if target.at_least:
        return f"at least {target.limit:.0%} of {target.of}", "{:.0%}".format
    if target.limit < 1:
        return f"at least {1 / target.limit:g} × faster than {target.of}", _faster
    return f"at most {target.limit:g} × {target.of}", "{:.3f} ×".format


def _faster(ratio: float) -> str:
    return f"{1 / ratio:.2f} ×"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f} ×" if ratio >= 0.1 else f"{ratio:.2g} ×"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
