"""``python -m bench``: measures the figures that are asked for and writes down what came out."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.figures import FIGURES
from bench.machine import Machine
from bench.measurement import Effort, Result
from bench.plots.pages import draw
from bench.reporter import document, section, to_json, to_markdown
from bench.runner import run_figure

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "plots"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks; timings never make it fail."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(words)
    command = " ".join(["python -m bench", *words])
    machine = Machine.here()
    effort = Effort(rounds=1 if options.quick else options.rounds, quick=options.quick)
    results = asyncio.run(_measured(options.only or list(FIGURES), effort))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(to_json(machine, command, results), encoding="utf-8")
    if options.document:
        document(PAGE, to_markdown(machine, command, results))
        draw(PLOTS, results)


async def _measured(names: Sequence[str], effort: Effort) -> list[Result]:
    results = []
    for name in names:
        result = await run_figure(FIGURES[name], effort)
        print(section(result), end="\n\n", flush=True)
        results.append(result)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(FIGURES), help="a figure to measure (repeatable)"
    )
    parser.add_argument("--rounds", type=_at_least_one, default=5, help="rounds that count")
    parser.add_argument("--quick", action="store_true", help="only show that everything runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--document", action="store_true", help=f"rewrite what {PAGE} shows")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number
