"""Lays the lanes of a plan between the executors that it needs."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator

from penstock.bridges import ConsumerEnd, DirectLane, Lane, LaneSpec, ProducerEnd
from penstock.data import CLIENT, ExecutorType
from penstock.executors.multiprocess.executor import MultiprocessExecutor
from penstock.executors.multiprocess.station import Station
from penstock.executors.multiprocess.transport import socket_pair
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
    most, slots = queue_bytes(plan), plan.slots
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
            slot=slots[source],
        )


def executor_of(plan: NodeExecutionPlan, name: str) -> ExecutorType:
    """The executor at one end of a lane; the client counts as the session's own process."""
    return ExecutorType.NATIVE if name == CLIENT else plan.node(name).executor


MAX_FUSED = 32
"""Nodes in a row that call one another directly; each takes some of Python's stack."""


Door = Callable[[LaneSpec, socket.socket], None]
"""Takes the client's end of a lane to where the client is."""


class Wiring:
    """Connects executors and the client, lane by lane, and enters each lane in the context.

    Without a ``station`` everything is in this process. With a ``door`` the client is in
    another, and the gateway stays empty.
    """

    def __init__(
        self,
        context: SessionExecutionContext,
        gateway: Gateway,
        executors: tuple[NativeExecutor, MultiprocessExecutor | None],
        station: Station | None,
        door: Door | None,
    ) -> None:
        self._context = context
        self._gateway = gateway
        self._door = door
        self._native, self._multiprocess = executors
        self._station = station
        self._depth: Counter[str] = Counter()

    def lay_all(self) -> None:
        for spec in lane_specs(self._context.plan):
            self._lay(spec)

    def _lay(self, spec: LaneSpec) -> None:
        lane = self._connected(spec)
        plan = self._context.plan
        self._context.bridge(lane, executor_of(plan, spec.source), executor_of(plan, spec.target))
        if self._multiprocess is not None:
            self._multiprocess.track(lane)

    def _connected(self, spec: LaneSpec) -> Lane:
        if self._station is None or (self._is_here(spec.source) and self._is_here(spec.target)):
            direct = DirectLane(spec, self._context.epochs)
            self._attach_producer(spec, direct.producer)
            self._attach_consumer(spec, direct.consumer, comes_from_here=True)
            self._fuse(direct)
            return Lane(spec, direct.producer, direct.consumer)
        sending, receiving = socket_pair()
        consumer = self._consumer(self._station, spec, receiving)
        return Lane(spec, self._producer(self._station, spec, sending), consumer)

    def _producer(
        self, station: Station, spec: LaneSpec, sock: socket.socket
    ) -> ProducerEnd | None:
        """The sending end, where it is here."""
        if not self._is_here(spec.source):
            self._send_away(spec.source, spec, sock, inbound=False)
            return None
        end = station.sender(spec, sock)
        self._attach_producer(spec, end)
        return end

    def _consumer(
        self, station: Station, spec: LaneSpec, sock: socket.socket
    ) -> ConsumerEnd | None:
        """The receiving end, where it is here."""
        if not self._is_here(spec.target):
            self._send_away(spec.target, spec, sock, inbound=True)
            return None
        end = station.receiver(spec, sock)
        self._attach_consumer(spec, end, comes_from_here=False)
        return end

    def _send_away(self, to: str, spec: LaneSpec, sock: socket.socket, *, inbound: bool) -> None:
        if to == CLIENT and self._door is not None:
            self._door(spec, sock)
        elif self._multiprocess is not None:
            self._multiprocess.attach(to, spec, sock, inbound=inbound)

    def _is_here(self, name: str) -> bool:
        """Whether that end of a lane is in this process."""
        if name == CLIENT:
            return self._door is None
        return executor_of(self._context.plan, name) is ExecutorType.NATIVE

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

    def _attach_consumer(self, spec: LaneSpec, end: ConsumerEnd, *, comes_from_here: bool) -> None:
        if spec.target == CLIENT:
            self._gateway.add_outlet(spec.source, end)
        else:
            self._native.attach_input(spec.target, end, comes_from_here=comes_from_here)
