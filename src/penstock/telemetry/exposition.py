"""The ledger as Prometheus and OpenMetrics text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, chain

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from penstock.telemetry.families import FAMILIES, Family
from penstock.telemetry.ledger import Labels, Ledger, Place, Times, bounded


class Page(Collector):
    """All metrics as they stood at one moment."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> list[Metric]:
        return self._metrics

    def encoded(self, accept: str) -> tuple[bytes, str]:
        """The text in the form that a scraper likes best, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type


def page_of(ledger: Ledger, gauges: Mapping[Place, float]) -> Page:
    """Everything there is; families that have nothing yet are there with their help."""
    standing: dict[Family, dict[Labels, float]] = {}
    own = ((family, labels, value) for (family, labels), value in gauges.items())
    for family, wished, value in chain(own, ledger.gauges()):
        series = standing.setdefault(family, {})
        labels = bounded(wished, series)
        series[labels] = series.get(labels, 0.0) + value
    return Page(_metrics(ledger, standing))


def _metrics(ledger: Ledger, standing: Mapping[Family, Mapping[Labels, float]]) -> Iterator[Metric]:
    for family in FAMILIES:
        match family.kind:
            case "counter":
                yield _counter(family, ledger.counters(family))
            case "gauge":
                yield _gauge(family, standing.get(family, {}))
            case "histogram":
                yield _histogram(family, ledger.times(family))


def _counter(family: Family, series: Mapping[Labels, float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in _or_zero(family, series).items():
        metric.add_metric(labels, value)
    return metric


def _gauge(family: Family, series: Mapping[Labels, float]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in _or_zero(family, series).items():
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, series: Mapping[Labels, Times]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, times in series.items():
        metric.add_metric(labels, _buckets(family, times), times.total_s)
    return metric


def _or_zero(family: Family, series: Mapping[Labels, float]) -> Mapping[Labels, float]:
    """What has no labels is there from the start: nothing has happened yet."""
    return series or ({} if family.labels else {(): 0.0})


def _buckets(family: Family, times: Times) -> list[tuple[str, float]]:
    """Cumulative, by upper bounds in seconds: bucket ``i`` has times below 2**i ns."""
    below = [*accumulate(times.counts)]
    total = below[-1] if below else 0
    bounds = [
        (repr((1 << bound) / 1e9), float(below[bound] if bound < len(below) else total))
        for bound in family.bounds
    ]
    return [*bounds, ("+Inf", float(total))]
