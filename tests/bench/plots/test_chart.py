"""Charts as SVG."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plots.chart import Chart, apart

NAMESPACE = "{http://www.w3.org/2000/svg}"
LINES = {"a & b": [(1.0, 5.0), (10.0, 50.0)], "<c>": [(1.0, 500.0)]}


def chart(**changes: object) -> Chart:
    settings = {"x_ticks": {1.0: "one", 10.0: "ten"}, "log_x": True, "log_y": True, **changes}
    return Chart("T < U", "what it shows", "x", "y", LINES, **settings)  # type: ignore[arg-type]  # settings are of all types


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own
    return [element.text or "" for element in root.iter(f"{NAMESPACE}text")]


@pytest.mark.parametrize("log_y", [True, False])
def test_a_chart_names_everything(log_y: bool) -> None:
    svg = chart(log_y=log_y).svg()
    assert {"T < U", "a & b", "<c>", "x", "y", "one", "ten"} <= set(texts(svg))
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own
    assert root.findtext(f"{NAMESPACE}desc") == "what it shows"
    assert len(list(root.iter(f"{NAMESPACE}polyline"))) == 2


def test_each_line_has_markers_of_its_own() -> None:
    root = ElementTree.fromstring(chart().svg())  # noqa: S314  # our own
    assert len(list(root.iter(f"{NAMESPACE}circle"))) == 2
    assert len(list(root.iter(f"{NAMESPACE}rect"))) == 1 + 1


def test_a_chart_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no points"):
        Chart("T", "d", "x", "y", {"a": []}).svg()


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 384), min_size=1, max_size=10))
def test_names_keep_their_order_and_distance(wanted: dict[str, float]) -> None:
    placed = apart(wanted, 15)
    ranked = sorted(wanted, key=lambda name: wanted[name])
    heights = [placed[name] for name in ranked]
    assert all(low + 15 <= high + 1e-9 for low, high in pairwise(heights))
    assert max(heights) <= 384 + 1e-9
