"""Lays the lanes of a plan between the executors that it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from penstock.bridges import ConsumerEnd, DirectLane, Lane, LaneSpec, ProducerEnd
from penstock.data import CLIENT, ExecutorType
from penstock.executors.multiprocess.executor import MultiprocessExecutor
from penstock.executors.native import NativeExecutor
from penstock.planning import NodeExecutionPlan
from penstock.session.context import SessionExecutionContext
from penstock.session.cost import queue_bytes
from penstock.session.gateway import Gateway


def lane_specs(plan: NodeExecutionPlan) -> Iterator[LaneSpec]:
    """A lane for each edge, for each source from the client, for each sink to it.

    Consumers come first, so that whoever speaks is listened to.
    """
    config = plan.configuration
    position = {node_id: place for place, node_id in enumerate(plan.order)}
    position[CLIENT] = len(position)
    wanted = [
        (edge.source, edge.target, edge.kinds, edge.capacity, edge.backpressure, edge.drop_policy)
        for edge in plan.edges
    ]
    lossless = (config.channel_capacity, True, config.drop_policy)
    wanted += [(CLIENT, node_id, plan.node(node_id).accepts, *lossless) for node_id in plan.sources]
    wanted += [(node_id, CLIENT, plan.node(node_id).emits, *lossless) for node_id in plan.sinks]
    most = queue_bytes(plan)
    wanted.sort(key=lambda lane: -position[lane[1]])
    for lane_id, (source, target, kinds, capacity, backpressure, keep) in enumerate(wanted, 1):
        yield LaneSpec(
            lane_id=lane_id,
            source=source,
            target=target,
            accepts=kinds,
            capacity=capacity,
            backpressure=backpressure,
            keep=keep,
            max_message_bytes=config.max_message_bytes,
            verify=config.verify,
            max_buffered_bytes=most,
        )


MAX_FUSED = 32
"""Nodes in a row that call one another directly; each takes some of Python's stack."""


class Wiring:
    """Connects executors and gateway, lane by lane, and enters each lane in the context."""

    def __init__(
        self,
        context: SessionExecutionContext,
        gateway: Gateway,
        native: NativeExecutor,
        multiprocess: MultiprocessExecutor | None,
    ) -> None:
        self._context = context
        self._gateway = gateway
        self._native = native
        self._multiprocess = multiprocess
        self._depth: Counter[str] = Counter()

    def lay_all(self) -> None:
        for spec in lane_specs(self._context.plan):
            self._lay(spec)

    def _lay(self, spec: LaneSpec) -> None:
        source, target = self._executor(spec.source), self._executor(spec.target)
        lane = self._connected(spec, source, target)
        self._context.bridge(lane, source, target)
        if self._multiprocess is not None:
            self._multiprocess.track(lane)

    def _connected(self, spec: LaneSpec, source: ExecutorType, target: ExecutorType) -> Lane:
        remote = self._multiprocess
        if source is target is ExecutorType.NATIVE or remote is None:
            direct = DirectLane(spec)
            self._attach_producer(spec, direct.producer)
            self._attach_consumer(spec, direct.consumer)
            self._fuse(direct)
            return Lane(spec, direct.producer, direct.consumer)
        if source is ExecutorType.NATIVE:
            producer = remote.lane_to(spec)
            self._attach_producer(spec, producer)
            return Lane(spec, producer=producer)
        if target is ExecutorType.NATIVE:
            consumer = remote.lane_from(spec)
            self._attach_consumer(spec, consumer)
            return Lane(spec, consumer=consumer)
        remote.lane_between(spec)
        return Lane(spec)

    def _fuse(self, lane: DirectLane) -> None:
        """Have a node call the next one, where that is quick and not too deep.

        The client's lanes stay as they are: no node runs in its task, nor it in a node's.
        Lanes come last stage first, so that what follows the target is known.
        """
        source, target = lane.spec.source, lane.spec.target
        if CLIENT in (source, target) or self._depth[target] >= MAX_FUSED:
            return
        accept = self._native.acceptor(target)
        if accept is not None:
            lane.fuse(accept)
            self._depth[source] = max(self._depth[source], self._depth[target] + 1)

    def _attach_producer(self, spec: LaneSpec, end: ProducerEnd) -> None:
        if spec.source == CLIENT:
            self._gateway.add_inlet(spec.target, end)
        else:
            self._native.attach_output(spec.source, end)

    def _attach_consumer(self, spec: LaneSpec, end: ConsumerEnd) -> None:
        if spec.target == CLIENT:
            self._gateway.add_outlet(spec.source, end)
        else:
            self._native.attach_input(spec.target, end)

    def _executor(self, node_id: str) -> ExecutorType:
        """The executor at one end of a lane; the client's ends are in the session's process."""
        if node_id == CLIENT:
            return ExecutorType.NATIVE
        return self._context.plan.node(node_id).executor
