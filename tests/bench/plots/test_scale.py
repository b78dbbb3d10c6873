"""Axes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plots.scale import Scale

VALUES = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=20)


@given(VALUES, st.booleans())
def test_all_values_and_ticks_lie_on_the_axis(values: list[float], log: bool) -> None:
    scale = (Scale.decades if log else Scale.linear)(values, 0, 100)
    for value in (*values, *scale.ticks()):
        assert -1e-6 <= scale.at(value) <= 100 + 1e-6


@given(VALUES, st.booleans())
def test_ticks_are_few_and_rise(values: list[float], log: bool) -> None:
    scale = (Scale.decades if log else Scale.linear)(values, 0, 100)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 14
    assert all(low < high for low, high in pairwise(ticks))


def test_round_numbers() -> None:
    assert Scale.linear([3, 42], 0, 1).ticks() == [0, 10, 20, 30, 40, 50]
    assert Scale.decades([3, 420], 0, 1).ticks() == [1, 10, 100, 1000]


def test_a_logarithmic_axis_gives_equal_factors_equal_room() -> None:
    scale = Scale.spread([1, 10, 100], 200, 0)
    assert [scale.at(value) for value in (1, 10, 100)] == pytest.approx([200, 100, 0])
