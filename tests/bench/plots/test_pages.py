"""What of the results is drawn."""

from __future__ import annotations

from pathlib import Path

from bench.figures import FIGURES
from bench.measurement import Result, Row, Spread
from bench.plots.pages import PLOTS, by_contender, draw


def result(figure: str, **values: float) -> Result:
    spreads = {name: Spread(value, value, (value,)) for name, value in values.items()}
    rows = [Row(f"{x}", spreads, {}, {"ray": "left out"}, (), None, x) for x in (4096.0, 65536.0)]
    unplaced = Row("unplaced", spreads, {}, {}, (), None, None)
    return Result(figure, "F", "µs", (*rows, unplaced))


def test_we_come_first_and_count_once() -> None:
    results = [result("a", floor=1, penstock=2), result("b", penstock=5, dora=3)]
    lines = by_contender(results)
    assert list(lines) == ["penstock", "floor", "dora"]
    assert lines["penstock"] == [(4096.0, 2), (65536.0, 2)]


def test_a_plot_is_drawn_where_all_that_it_needs_was_measured(tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    assert draw(folder, [result("hop_latency", penstock=2)]) == []
    both = [result("hop_latency", penstock=2), result("hop_frameworks", penstock=2)]
    assert draw(folder, both) == [folder / "hop-hot.svg"]
    assert (folder / "hop-hot.svg").read_text().startswith("<svg")


def test_plots_are_of_figures_that_there_are() -> None:
    assert {name for plot in PLOTS for name in plot.figures} <= FIGURES.keys()
