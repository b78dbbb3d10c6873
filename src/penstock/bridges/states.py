"""The states of a lane, as the data model draws them, and of a bridge, read from its lanes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from penstock.machine import Machine, Table


class LaneState(StrEnum):
    """Where a lane stands between its producer and its consumer."""

    IDLE = "Idle"
    TRANSFERRING = "Transferring"
    CONVERTING = "Converting"
    BUFFERING = "Buffering"
    BLOCKED = "Blocked"
    CLOSED = "Closed"


class LaneEvent(StrEnum):
    """What moves a lane."""

    DATA_AVAILABLE = "data available"
    CONVERSION_NEEDED = "conversion needed"
    CONVERTED = "waiting for target"
    TARGET_READY = "target ready"
    TRANSFERRED = "transfer complete"
    NO_SPACE = "backpressure active"
    SPACE_AVAILABLE = "space available"
    TERMINATED = "session terminated"


LANE_TABLE: Table[LaneState, LaneEvent] = {
    LaneState.IDLE: {
        LaneEvent.DATA_AVAILABLE: LaneState.TRANSFERRING,
        LaneEvent.TERMINATED: LaneState.CLOSED,
    },
    LaneState.TRANSFERRING: {
        LaneEvent.CONVERSION_NEEDED: LaneState.CONVERTING,
        LaneEvent.TRANSFERRED: LaneState.IDLE,
        LaneEvent.NO_SPACE: LaneState.BLOCKED,
        LaneEvent.TERMINATED: LaneState.CLOSED,
    },
    LaneState.CONVERTING: {LaneEvent.CONVERTED: LaneState.BUFFERING},
    LaneState.BUFFERING: {LaneEvent.TARGET_READY: LaneState.TRANSFERRING},
    LaneState.BLOCKED: {
        LaneEvent.SPACE_AVAILABLE: LaneState.TRANSFERRING,
        LaneEvent.TERMINATED: LaneState.CLOSED,
    },
    LaneState.CLOSED: {},
}


def lane_machine(lane: str) -> Machine[LaneState, LaneEvent]:
    return Machine(f"lane {lane}", LANE_TABLE, LaneState.IDLE)


def close_lane(machine: Machine[LaneState, LaneEvent]) -> None:
    """Walk to ``Closed``: what is being converted or buffered is given up on the way."""
    if machine.state is LaneState.CONVERTING:
        machine.step(LaneEvent.CONVERTED)
    if machine.state is LaneState.BUFFERING:
        machine.step(LaneEvent.TARGET_READY)
    if machine.state is not LaneState.CLOSED:
        machine.step(LaneEvent.TERMINATED)


_LOUDEST = (
    LaneState.BLOCKED,
    LaneState.CONVERTING,
    LaneState.BUFFERING,
    LaneState.TRANSFERRING,
    LaneState.IDLE,
)


def bridge_state(lanes: Iterable[LaneState]) -> LaneState:
    """The state of a bridge: blocked if any lane is, closed when all are (or none is there)."""
    present = set(lanes)
    return next((state for state in _LOUDEST if state in present), LaneState.CLOSED)
