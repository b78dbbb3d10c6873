"""Which plots there are, and what of the results they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.hops.rig import SIZES
from bench.measurement import OURS, Result
from bench.plots.chart import Chart, Point

Lines: TypeAlias = Mapping[str, Sequence[Point]]
_SIZE_TICKS = {float(nbytes): size for size, nbytes in SIZES.items() if size != "3.84 MB"}
_CPU = "CPU time of all the session's processes, divided by deliveries of a message to a node"


@dataclass(frozen=True, slots=True)
class Plot:
    """A file, the figures that it needs, and how it is made of their results."""

    name: str
    figures: Sequence[str]
    chart: Callable[[Sequence[Result]], Chart]


def draw(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write the plots for which everything was measured, and say which."""
    measured = {result.figure: result for result in results}
    written = []
    for plot in PLOTS:
        if all(name in measured for name in plot.figures):
            path = folder / f"{plot.name}.svg"
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(plot.chart([measured[name] for name in plot.figures]).svg())
            written.append(path)
    return written


def by_contender(result: Result) -> Lines:
    """A line for each contender, ours first."""
    lines: dict[str, list[Point]] = {OURS: []}
    for row in result.rows:
        for name, spread in row.values.items():
            if row.x is not None:
                lines.setdefault(name, []).append((row.x, spread.p50))
    return lines


def of_ours(result: Result) -> Sequence[Point]:
    """Our line in a figure."""
    return [(row.x, row.values[OURS].p50) for row in result.rows if row.x is not None]


def _latency(how: str) -> Callable[[Sequence[Result]], Chart]:
    def chart(results: Sequence[Result]) -> Chart:
        return Chart(
            title=f"A hop from process to process, {how}",
            description="Median latency of a hop over the size of its payload, by contender",
            x_label="payload",
            y_label="latency, median, µs",
            lines=by_contender(results[0]),
            x_ticks=_SIZE_TICKS,
            log_x=True,
            log_y=True,
        )

    return chart


def _cpu_by_size(results: Sequence[Result]) -> Chart:
    names = ("nodes in a row", "consumers")
    lines = {name: of_ours(result) for name, result in zip(names, results, strict=True)}
    xs = sorted({x for line in lines.values() for x, _ in line})
    return Chart(
        title="CPU time for a delivered message, 500 a second",
        description=f"{_CPU}, over the number of nodes",
        x_label="nodes behind the source",
        y_label="CPU time, µs",
        lines=lines,
        x_ticks={x: f"{x:.0f}" for x in xs},
        log_x=True,
    )


def _cpu_by_rate(results: Sequence[Result]) -> Chart:
    line = of_ours(results[0])
    return Chart(
        title="CPU time for a delivered message, one hop",
        description=f"{_CPU}, over the rate of messages",
        x_label="messages a second",
        y_label="CPU time, µs",
        lines={OURS: line},
        x_ticks={x: f"{x:,.0f}" for x, _ in line},
        log_x=True,
    )


def _memory(results: Sequence[Result]) -> Chart:
    (result,) = results
    lines = by_contender(result)
    wanted = {"shared memory": OURS, "payloads on their way": "payloads on their way"}
    return Chart(
        title="Shared memory of three nodes with lanes of 100, 1 MB each",
        description="Memory of the session's memfds over the number of messages on their way",
        x_label="messages on their way",
        y_label="MB",
        lines={name: lines[of] for name, of in (*wanted.items(), ("capacity × size",) * 2)},
        x_ticks={row.x: f"{row.x:.0f}" for row in result.rows if row.x not in (None, 1)},
    )


PLOTS = (
    Plot("hop-hot", ("hop_latency",), _latency("hot")),
    Plot("hop-paced", ("hop_paced",), _latency("one each 20 ms")),
    Plot("hop-frameworks", ("hop_frameworks",), _latency("beside frameworks, hot")),
    Plot("cpu-by-nodes", ("cpu_nodes", "cpu_fan_out"), _cpu_by_size),
    Plot("cpu-by-rate", ("cpu_rate",), _cpu_by_rate),
    Plot("memory", ("memory_1_mb",), _memory),
)
