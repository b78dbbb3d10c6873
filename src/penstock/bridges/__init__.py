"""Bridges between executors: strategies, lanes with their states and counters."""

from penstock.bridges.bridge import BridgeStatistics, DataBridge, Lane
from penstock.bridges.direct import Accept, DirectLane
from penstock.bridges.histogram import BUCKETS, LatencyHistogram, count_time, no_counts
from penstock.bridges.lane import (
    ConsumerEnd,
    ConsumerStatistics,
    LaneSpec,
    ProducerEnd,
    ProducerStatistics,
    count_drop,
    no_listener,
)
from penstock.bridges.states import (
    LANE_TABLE,
    LaneEvent,
    LaneState,
    bridge_state,
    close_lane,
    lane_machine,
)
from penstock.bridges.strategy import ConversionStrategy, strategy_for

__all__ = [
    "BUCKETS",
    "LANE_TABLE",
    "Accept",
    "BridgeStatistics",
    "ConsumerEnd",
    "ConsumerStatistics",
    "ConversionStrategy",
    "DataBridge",
    "DirectLane",
    "Lane",
    "LaneEvent",
    "LaneSpec",
    "LaneState",
    "LatencyHistogram",
    "ProducerEnd",
    "ProducerStatistics",
    "bridge_state",
    "close_lane",
    "count_drop",
    "count_time",
    "lane_machine",
    "no_counts",
    "no_listener",
    "strategy_for",
]
