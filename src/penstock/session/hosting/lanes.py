"""The lanes of a hosted session as its front door has them: its client's ends, and counters."""

from __future__ import annotations

import contextlib
import socket

from penstock.bridges import ConsumerEnd, Lane, LaneSpec, ProducerEnd
from penstock.data import CLIENT
from penstock.executors.multiprocess.station import Station
from penstock.session.context import SessionExecutionContext
from penstock.session.gateway import Gateway
from penstock.session.hosting import messages
from penstock.session.wiring import executor_of, lane_specs


class HostedLanes:
    """Those of one session; a host is believed nothing that its plan doesn't say."""

    def __init__(self, context: SessionExecutionContext, gateway: Gateway) -> None:
        self._context = context
        self._gateway = gateway
        self._specs = {spec.lane_id: spec for spec in lane_specs(context.plan)}
        self._inlets: dict[int, ProducerEnd] = {}
        self._outlets: dict[int, ConsumerEnd] = {}
        self._laid: dict[int, Lane] = {}

    def __getitem__(self, lane_id: int) -> LaneSpec:
        """The lane of that number; raises ``KeyError`` where there is none."""
        return self._specs[lane_id]

    def connect(self, lane_id: int, station: Station, descriptors: list[int]) -> None:
        """Have the client's end of one of its lanes, by the first of the descriptors.

        Raises ``ValueError`` for a lane that is none of the client's, or has come already, and
        for a descriptor that leads to none; ``OSError`` where the system has no more of them.
        """
        spec = self._wanted(lane_id)
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(_taken_socket(descriptors))
            if spec.source == CLIENT:
                self._inlets[lane_id] = inlet = station.sender(spec, sock)
                self._gateway.add_inlet(spec.target, inlet)
            else:
                self._outlets[lane_id] = outlet = station.receiver(spec, sock)
                self._gateway.add_outlet(spec.source, outlet)
            undo.pop_all()

    def check(self) -> None:
        """Raises ``ValueError`` where one of the client's has not come."""
        have = self._inlets.keys() | self._outlets.keys()
        for spec in self._specs.values():
            if CLIENT in (spec.source, spec.target) and spec.lane_id not in have:
                raise ValueError(f"it is ready without lane {spec.name}")

    def lay(self) -> None:
        """Enter them all in the context: of each the client has one end, or neither."""
        plan = self._context.plan
        for number, spec in self._specs.items():
            lane = Lane(spec, self._inlets.get(number), self._outlets.get(number))
            source, target = executor_of(plan, spec.source), executor_of(plan, spec.target)
            self._context.bridge(lane, source, target)
            self._laid[number] = lane

    def record(self, measured: messages.Measured) -> None:
        """What the ends that are not the client's have counted."""
        for number, lane in self._laid.items():
            if number in measured.outbound:
                lane.reported_producer = measured.outbound[number]
            if number in measured.inbound:
                lane.reported_consumer = measured.inbound[number]

    def _wanted(self, lane_id: int) -> LaneSpec:
        spec = self._specs.get(lane_id)
        if spec is None or CLIENT not in (spec.source, spec.target):
            raise ValueError(f"lane {lane_id} is none of its client's")
        if lane_id in self._inlets or lane_id in self._outlets:
            raise ValueError(f"lane {spec.name} comes twice")
        return spec


def _taken_socket(descriptors: list[int]) -> socket.socket:
    """The end of a lane that came along; raises ``ValueError`` for what is none.

    Raises ``OSError`` where this process may have no more: the kernel has left it out then.
    """
    if not descriptors:
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).close()
    try:
        sock = socket.socket(fileno=descriptors[0])
    except (IndexError, OSError) as exc:
        raise ValueError(f"a lane comes without an end: {exc}") from exc
    del descriptors[0]
    if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        sock.close()
        raise ValueError(f"a lane's end is a socket of another sort: {sock.family}, {sock.type}")
    return sock
