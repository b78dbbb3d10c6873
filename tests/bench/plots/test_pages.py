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


def test_we_come_first_and_what_has_no_place_on_the_axis_is_left_out() -> None:
    lines = by_contender(result("a", floor=1, penstock=2))
    assert list(lines) == ["penstock", "floor"]
    assert lines["penstock"] == [(4096.0, 2), (65536.0, 2)]


def test_a_plot_is_drawn_where_all_that_it_needs_was_measured(tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    assert draw(folder, [result("cpu_nodes", penstock=2)]) == []
    both = [result("cpu_nodes", penstock=2), result("cpu_fan_out", penstock=2)]
    assert draw(folder, both) == [folder / "cpu-by-nodes.svg"]
    assert (folder / "cpu-by-nodes.svg").read_text().startswith("<svg")


def test_plots_are_of_figures_that_there_are() -> None:
    assert {name for plot in PLOTS for name in plot.figures} <= FIGURES.keys()
