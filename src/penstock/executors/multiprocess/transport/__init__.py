"""Lanes between processes: sealed memfd slabs for payloads, seqpacket sockets for envelopes."""

from penstock.executors.multiprocess.transport.arena import SharedArena
from penstock.executors.multiprocess.transport.plane import DataPlane
from penstock.executors.multiprocess.transport.port import Port, socket_pair
from penstock.executors.multiprocess.transport.reactor import Reactor
from penstock.executors.multiprocess.transport.receiver import LaneReceiver
from penstock.executors.multiprocess.transport.sealing import guaranteed_pool
from penstock.executors.multiprocess.transport.sender import LaneSender

__all__ = [
    "DataPlane",
    "LaneReceiver",
    "LaneSender",
    "Port",
    "Reactor",
    "SharedArena",
    "guaranteed_pool",
    "socket_pair",
]
