"""The ``DataBridge``: all lanes from one executor to another, with their sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from penstock.bridges.histogram import LatencyHistogram
from penstock.bridges.lane import (
    MAX_CAPACITY,
    ConsumerEnd,
    ConsumerStatistics,
    LaneSpec,
    ProducerEnd,
    ProducerStatistics,
)
from penstock.bridges.states import LaneState, bridge_state
from penstock.bridges.strategy import ConversionStrategy, strategy_for
from penstock.data import ExecutorType
from penstock.errors import SessionError


class Lane:
    """A lane as its session sees it: the ends that live here, the last word of the others."""

    __slots__ = ("_consumer", "_producer", "reported_consumer", "reported_producer", "spec")

    def __init__(
        self,
        spec: LaneSpec,
        producer: ProducerEnd | None = None,
        consumer: ConsumerEnd | None = None,
    ) -> None:
        self.spec = spec
        self.reported_producer = ProducerStatistics()
        self.reported_consumer = ConsumerStatistics()
        self._producer = producer
        self._consumer = consumer

    @property
    def producer(self) -> ProducerStatistics:
        return self._producer.statistics() if self._producer else self.reported_producer

    @property
    def consumer(self) -> ConsumerStatistics:
        return self._consumer.statistics() if self._consumer else self.reported_consumer

    @property
    def state(self) -> LaneState:
        return self.producer.state

    @property
    def waiting(self) -> int:
        """Messages between the two ends, as far as both have told."""
        return self.waiting_and_dropped[0]

    @property
    def waiting_and_dropped(self) -> tuple[int, int]:
        """Messages that wait between the two ends, and those that were dropped there."""
        producer, consumer = self.producer, self.consumer
        gone = sum(producer.dropped.values()) + sum(consumer.dropped.values())
        return max(producer.sent - consumer.received - gone, 0), gone

    def close(self) -> None:
        for end in (self._producer, self._consumer):
            if end is not None:
                end.close()
        if self._producer is None:
            self.reported_producer.state = LaneState.CLOSED


@dataclass(frozen=True, slots=True)
class BridgeStatistics:
    """What a bridge has carried in this session: a bridge lives as long as one execution.

    ``conversion_latency_us`` is the sum over its messages, at both ends. ``conversion`` shows
    how long the conversions took one by one, ``transit`` the times from being sent to being
    taken.
    """

    source: ExecutorType
    target: ExecutorType
    strategy: ConversionStrategy
    state: LaneState
    messages_transferred: int
    bytes_transferred: int
    conversion_latency_us: int
    dropped: int
    copies: int
    conversion: LatencyHistogram
    transit: LatencyHistogram


class DataBridge:
    """Moves data from one executor to another, over one lane for each connection."""

    def __init__(self, source_executor: ExecutorType, target_executor: ExecutorType) -> None:
        self.source_executor = source_executor
        self.target_executor = target_executor
        self.conversion_strategy = strategy_for(source_executor, target_executor)
        self._lanes: dict[int, Lane] = {}

    @property
    def lanes(self) -> Mapping[int, Lane]:
        """The lanes by their IDs; read-only."""
        return MappingProxyType(self._lanes)

    def add(self, lane: Lane) -> None:
        """Put a lane on the bridge; raises ``SessionError`` for one that breaks a rule."""
        spec = lane.spec
        if spec.lane_id in self._lanes:
            raise SessionError(f"lane {spec.name}: its ID {spec.lane_id} is taken")
        if not 0 < spec.capacity <= MAX_CAPACITY:
            raise SessionError(
                f"lane {spec.name}: capacity must be 1 to {MAX_CAPACITY}, got {spec.capacity}"
            )
        self._lanes[spec.lane_id] = lane

    @property
    def state(self) -> LaneState:
        return bridge_state(lane.state for lane in self._lanes.values())

    @property
    def buffered(self) -> int:
        """Messages in transit, on all lanes."""
        return sum(lane.waiting for lane in self._lanes.values())

    @property
    def messages_transferred(self) -> int:
        return sum(lane.consumer.received for lane in self._lanes.values())

    @property
    def bytes_transferred(self) -> int:
        return sum(lane.producer.payload_bytes for lane in self._lanes.values())

    @property
    def conversion_latency_us(self) -> int:
        """Time spent converting, at both ends, over all messages."""
        lanes = self._lanes.values()
        return sum(ln.producer.conversion_ns + ln.consumer.conversion_ns for ln in lanes) // 1000

    def statistics(self) -> BridgeStatistics:
        lanes = self._lanes.values()
        ends = [end for lane in lanes for end in (lane.producer, lane.consumer)]
        return BridgeStatistics(
            source=self.source_executor,
            target=self.target_executor,
            strategy=self.conversion_strategy,
            state=self.state,
            messages_transferred=self.messages_transferred,
            bytes_transferred=self.bytes_transferred,
            conversion_latency_us=self.conversion_latency_us,
            dropped=sum(sum(end.dropped.values()) for end in ends),
            copies=sum(end.copies for end in ends),
            conversion=LatencyHistogram.merged(end.conversion for end in ends),
            transit=LatencyHistogram.merged(lane.consumer.transit for lane in lanes),
        )

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
