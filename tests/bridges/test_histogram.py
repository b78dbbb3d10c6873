"""Latencies in buckets that double: nothing uncounted, percentiles near the truth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bridges import BUCKETS, LatencyHistogram, count_time, no_counts

TIMES_NS = st.lists(st.integers(0, 1 << 50), max_size=50)


def histogram(times_ns):
    counts = no_counts()
    for time_ns in times_ns:
        count_time(counts, time_ns)
    return LatencyHistogram(tuple(counts))


@pytest.mark.parametrize(
    ("time_ns", "bucket"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (1 << 60, 47), (-5, 0)],
)
def test_a_time_is_counted_by_its_significant_bits(time_ns, bucket):
    counts = no_counts()
    count_time(counts, time_ns)
    assert counts == [int(place == bucket) for place in range(BUCKETS)]


def test_where_nothing_was_measured_there_is_no_percentile():
    assert LatencyHistogram().percentile_us(50) is None
    assert LatencyHistogram((0, 0)).percentile_us(99) is None
    assert LatencyHistogram().count == 0


def test_percentiles_are_interpolated_in_microseconds():
    times = histogram([1024] * 100)
    assert times.percentile_us(0) == 1.024
    assert times.percentile_us(50) == 1.536
    assert times.percentile_us(100) == 2.048


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_a_percentile_lies_between_0_and_100(percent):
    with pytest.raises(ValueError, match="a percentile is 0 to 100"):
        LatencyHistogram().percentile_us(percent)


def test_counts_of_any_length_are_merged():
    assert LatencyHistogram.merged([[], [1, 2], [1, 1, 1]]).counts == (2, 3, 1)
    assert LatencyHistogram.merged([]).counts == ()
    assert (LatencyHistogram((1,)) + LatencyHistogram((0, 2))).counts == (1, 2)


@given(TIMES_NS, TIMES_NS)
def test_adding_histograms_is_counting_everything_in_one(left, right):
    assert histogram(left) + histogram(right) == histogram([*left, *right])
    assert histogram(left).count == len(left)


@given(st.lists(st.integers(1, 1 << 46), min_size=1, max_size=50), st.floats(0, 100))
def test_a_percentile_is_within_a_factor_of_two_of_the_exact_one(times_ns, percent):
    rank = max(-(-len(times_ns) * percent // 100), 1)
    exact_us = sorted(times_ns)[min(int(rank), len(times_ns)) - 1] / 1e3
    found_us = histogram(times_ns).percentile_us(percent)
    assert exact_us / 2 <= found_us <= exact_us * 2


@given(st.lists(st.integers(0, 1 << 46), min_size=1, max_size=50))
def test_percentiles_never_fall(times_ns):
    times = histogram(times_ns)
    found = [times.percentile_us(percent) for percent in range(0, 101, 5)]
    assert found == sorted(found)
