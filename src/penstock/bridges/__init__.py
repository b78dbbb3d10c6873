"""Bridges between executors: strategies, lanes with their states and counters."""

from penstock.bridges.bridge import BridgeStatistics, DataBridge, Lane
from penstock.bridges.direct import Accept, DirectLane
from penstock.bridges.epochs import CLIENT_SLOT, NO_EPOCHS, EpochPage, Epochs
from penstock.bridges.histogram import BUCKETS, LatencyHistogram, count_time, no_counts
from penstock.bridges.lane import (
    INTERRUPTED,
    ConsumerEnd,
    ConsumerStatistics,
    LaneSpec,
    ProducerEnd,
    ProducerStatistics,
    Purpose,
    count_drop,
    count_filtered,
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
    "CLIENT_SLOT",
    "INTERRUPTED",
    "LANE_TABLE",
    "NO_EPOCHS",
    "Accept",
    "BridgeStatistics",
    "ConsumerEnd",
    "ConsumerStatistics",
    "ConversionStrategy",
    "DataBridge",
    "DirectLane",
    "EpochPage",
    "Epochs",
    "Lane",
    "LaneEvent",
    "LaneSpec",
    "LaneState",
    "LatencyHistogram",
    "ProducerEnd",
    "ProducerStatistics",
    "Purpose",
    "bridge_state",
    "close_lane",
    "count_drop",
    "count_filtered",
    "count_time",
    "lane_machine",
    "no_counts",
    "no_listener",
    "strategy_for",
]
