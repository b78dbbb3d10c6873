"""Lanes between the client and a node that are no part of the pipeline, where the nodes are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeAlias

from penstock.bridges import ConsumerEnd, DirectLane, Epochs, LaneSpec, ProducerEnd
from penstock.data import CLIENT
from penstock.errors import LaneError
from penstock.executors.multiprocess.executor import MultiprocessExecutor
from penstock.executors.multiprocess.station import Station
from penstock.executors.multiprocess.transport import socket_pair
from penstock.executors.native import NativeExecutor

End: TypeAlias = ProducerEnd | ConsumerEnd
Gone: TypeAlias = Callable[[], None]
"""Told when the other end of a lane is gone."""


def node_of(spec: LaneSpec) -> str:
    """The node at one end of a lane whose other end is the client's."""
    return spec.target if spec.source == CLIENT else spec.source


def client_end(station: Station, spec: LaneSpec, sock: socket.socket, gone: Gone) -> End:
    """The client's end of a lane to a node in another process."""
    loop = asyncio.get_running_loop()
    make = station.sender if spec.source == CLIENT else station.receiver

    def broken(_error: LaneError) -> None:
        loop.call_soon(gone)

    return make(spec, sock, broken)


class SideWiring:
    """Lays and removes them; a lane is gone on both sides when either has let go of it."""

    def __init__(
        self,
        native: NativeExecutor,
        multiprocess: MultiprocessExecutor | None,
        station: Station | None,
        epochs: Epochs,
    ) -> None:
        self._native = native
        self._multiprocess = multiprocess
        self._station = station
        self._epochs = epochs
        self._direct: dict[int, tuple[str, End]] = {}

    def lay(self, spec: LaneSpec, gone: Gone) -> End:
        """The client's end of a new lane, where the client is here."""
        if self._is_native(node_of(spec)):
            return self._laid_here(spec)
        assert self._station is not None  # noqa: S101  # there are nodes in other processes
        ours, theirs = socket_pair()
        self.connect(spec, theirs)
        return client_end(self._station, spec, ours, gone)

    def connect(self, spec: LaneSpec, sock: socket.socket) -> None:
        """Give a node its end of a lane, by its socket."""
        node_id, inbound = node_of(spec), spec.source == CLIENT
        if not self._is_native(node_id):
            assert self._multiprocess is not None  # noqa: S101  # it has the other nodes
            self._multiprocess.attach(node_id, spec, sock, inbound=inbound)
            return
        assert self._station is not None  # noqa: S101  # the client is in another process

        def gone(_error: LaneError) -> None:
            loop.call_soon(self._drop, node_id, end)

        loop = asyncio.get_running_loop()
        make = self._station.receiver if inbound else self._station.sender
        end: End = make(spec, sock, gone)
        self._native.attach_side_lane(node_id, end)

    def release(self, end: End) -> None:
        """Remove a lane by the client's end of it."""
        if id(end) in self._direct:
            node_id, other = self._direct.pop(id(end))
            self._native.detach_side_lane(node_id, other)
            end.close()
        elif self._station is not None:
            self._station.release(end)

    def _laid_here(self, spec: LaneSpec) -> End:
        lane, node_id = DirectLane(spec, self._epochs), node_of(spec)
        inbound = spec.source == CLIENT
        ours: End = lane.producer if inbound else lane.consumer
        theirs: End = lane.consumer if inbound else lane.producer
        self._direct[id(ours)] = node_id, theirs
        self._native.attach_side_lane(node_id, theirs)
        return ours

    def _drop(self, node_id: str, end: End) -> None:
        self._native.detach_side_lane(node_id, end)
        if self._station is not None:
            self._station.release(end)

    def _is_native(self, node_id: str) -> bool:
        return node_id in self._native.node_ids
