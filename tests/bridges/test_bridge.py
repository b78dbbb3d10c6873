"""The rules of a ``DataBridge``: strategies, lanes, sums."""

import pytest

from penstock.bridges import (
    ConsumerStatistics,
    ConversionStrategy,
    DataBridge,
    DirectLane,
    Lane,
    LaneSpec,
    LaneState,
    LatencyHistogram,
    ProducerStatistics,
    strategy_for,
)
from penstock.data import ExecutorType, Kind, Message, Text
from penstock.errors import SessionError

NATIVE, MULTIPROCESS, WASM = ExecutorType


@pytest.mark.parametrize(
    ("source", "target", "strategy"),
    [
        (NATIVE, NATIVE, "Direct"),
        (NATIVE, MULTIPROCESS, "NativeToIPC"),
        (NATIVE, WASM, "NativeToWasm"),
        (MULTIPROCESS, NATIVE, "IPCToNative"),
        (MULTIPROCESS, MULTIPROCESS, "SharedMemory"),
        (MULTIPROCESS, WASM, "IPCToWasm"),
        (WASM, NATIVE, "WasmToNative"),
        (WASM, MULTIPROCESS, "WasmToIPC"),
        (WASM, WASM, "Direct"),
    ],
)
def test_the_strategy_matches_the_executors(source, target, strategy):
    assert strategy_for(source, target) == ConversionStrategy(strategy)
    assert DataBridge(source, target).conversion_strategy == strategy


def direct_lane(lane_id=1, **options):
    direct = DirectLane(LaneSpec(lane_id, "a", "b", frozenset(Kind), **options))
    return direct, Lane(direct.spec, direct.producer, direct.consumer)


def test_a_bridge_adds_up_its_lanes():
    bridge = DataBridge(NATIVE, NATIVE)
    for lane_id in (1, 2):
        direct, lane = direct_lane(lane_id)
        bridge.add(lane)
        direct.producer.offer(Message(Text("four")))
        direct.producer.offer(Message(Text("four")))
        direct.consumer.take()
    assert bridge.bytes_transferred == 16
    assert bridge.messages_transferred == 2
    assert bridge.buffered == 2
    assert bridge.state is LaneState.IDLE
    bridge.close()
    assert bridge.state is LaneState.CLOSED
    assert bridge.statistics().messages_transferred == 2


@pytest.mark.parametrize("capacity", [0, -1, 10_001])
def test_a_lane_beyond_the_limit_is_refused(capacity):
    with pytest.raises(SessionError, match=f"capacity must be 1 to 10000, got {capacity}"):
        DataBridge(NATIVE, NATIVE).add(direct_lane(capacity=capacity)[1])


def test_two_lanes_with_one_id_are_refused():
    bridge = DataBridge(NATIVE, NATIVE)
    bridge.add(direct_lane()[1])
    with pytest.raises(SessionError, match="its ID 1 is taken"):
        bridge.add(direct_lane()[1])


def test_lanes_can_only_be_added_through_the_rules():
    with pytest.raises(TypeError):
        DataBridge(NATIVE, NATIVE).lanes[1] = direct_lane()[1]


def test_a_bridge_merges_the_times_of_its_lanes():
    bridge = DataBridge(MULTIPROCESS, MULTIPROCESS)
    for lane_id in (1, 2):
        lane = Lane(LaneSpec(lane_id, "a", "b", frozenset(Kind)))
        lane.reported_producer = ProducerStatistics(conversion=[0, 0, 1], conversion_ns=3_000)
        lane.reported_consumer = ConsumerStatistics(conversion=[0, 1], transit=[0, 0, 0, 0, 5])
        bridge.add(lane)
    statistics = bridge.statistics()
    assert statistics.conversion == LatencyHistogram((0, 2, 2))
    assert statistics.transit == LatencyHistogram((0, 0, 0, 0, 10))
    assert statistics.conversion_latency_us == 6


def test_a_bridge_that_has_measured_nothing_has_no_percentiles():
    bridge = DataBridge(NATIVE, NATIVE)
    bridge.add(direct_lane()[1])
    assert bridge.statistics().conversion.percentile_us(99) is None
