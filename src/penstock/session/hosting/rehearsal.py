"""A session that the zygote has with itself, so that no host does anything for the first time.

What is imported, compiled and cached on the way is inherited by every host that is forked
then. Nothing stays open.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from penstock.bridges import ConsumerEnd, EpochPage, ProducerEnd
from penstock.data import CLIENT, ExecutorType, Kind, Message, Text
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.reactor_loop import ReactorLoop
from penstock.executors.multiprocess.station import Station
from penstock.executors.multiprocess.transport import guaranteed_pool, socket_pair
from penstock.executors.vitals import OwnVitals
from penstock.manifest import ManifestConfiguration
from penstock.planning import (
    Default,
    ExecutionStage,
    NodeAssignment,
    NodeExecutionPlan,
    NodeExecutorAssignment,
)
from penstock.session.hosting import messages
from penstock.session.hosting.host import Host
from penstock.session.hosting.plans import encode_plan
from penstock.session.wiring import lane_specs

_NODE = NodeAssignment(
    node_id="rehearsal",
    node_type="PassThrough",
    executor=ExecutorType.NATIVE,
    params={},
    provider="penstock.nodes.builtin.pass_through:PassThrough",
    accepts=frozenset(Kind),
    emits=frozenset(Kind),
    is_source=False,
)
_PLAN = NodeExecutionPlan(
    stages=(ExecutionStage((_NODE,), 0),),
    dependency_graph={_NODE.node_id: ()},
    estimated_duration_ms=0,
    edges=(),
    assignments=(
        NodeExecutorAssignment(_NODE.node_id, _NODE.node_type, _NODE.executor, Default()),
    ),
    configuration=ManifestConfiguration(Path(sys.executable), max_message_bytes=1 << 16),
)


class _Door:
    """The front door of this one session: it sends a word and waits until it is back."""

    def __init__(self, control: socket.socket, host: Host) -> None:
        pool_bytes = guaranteed_pool(_PLAN.configuration.max_message_bytes)
        self._specs = {spec.lane_id: spec for spec in lane_specs(_PLAN)}
        largest = _PLAN.configuration.max_message_bytes
        epochs = EpochPage(_PLAN.slots, shared=True)
        self._station = Station(1, pool_bytes, largest, host, epochs)
        self._inlet: ProducerEnd | None = None
        self._outlet: ConsumerEnd | None = None
        self._channel: Channel[messages.FromHost] = Channel(
            control, self._station.reactor, messages.FromHost, self._on_message, _nothing
        )
        assert epochs.fd is not None  # noqa: S101  # it is shared
        self._channel.send(_order(pool_bytes), [epochs.fd])

    def close(self) -> None:
        self._channel.close()
        self._station.epochs.close()
        self._station.close()

    def _on_message(self, message: messages.FromHost, descriptors: list[int]) -> None:
        match message:
            case messages.ClientLanes():
                for lane_id, descriptor in zip(message.lane_ids, descriptors, strict=True):
                    self._connect(lane_id, socket.socket(fileno=descriptor))
            case messages.Ready() if self._inlet is not None:
                self._channel.send(messages.Begin())
                self._inlet.offer(Message(Text("word"), 1))
                self._inlet.end()

    def _connect(self, lane_id: int, sock: socket.socket) -> None:
        spec = self._specs[lane_id]
        if spec.source == CLIENT:
            self._inlet = self._station.sender(spec, sock)
        else:
            self._outlet = self._station.receiver(spec, sock)
            self._outlet.on_change = self._take

    def _take(self) -> None:
        if self._outlet is not None:
            self._outlet.take()
            if self._outlet.ended:
                self._channel.send(messages.Stop(0.1))


def _order(pool_bytes: int) -> messages.Open:
    plan = encode_plan(_PLAN)
    return messages.Open("rehearsal", plan, sys.path, pool_bytes, listens=False)


def rehearse() -> None:
    """Open a session, send it a word, take what comes out, and end it."""
    with asyncio.Runner(loop_factory=ReactorLoop) as runner:
        runner.run(_rehearse())


async def _rehearse() -> None:
    (control, ours), (supervisor, theirs), (leash, held) = (socket_pair() for _ in range(3))
    with theirs, held, supervisor:
        host = Host(control, supervisor, leash, OwnVitals())
        door = _Door(ours, host)
        await host.run()
        door.close()


def _nothing() -> None:
    """The host ends its channel last."""
