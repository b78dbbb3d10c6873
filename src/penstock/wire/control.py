"""The control bus's protocol messages: what frames ask for, and events to answer with. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from penstock.errors import (
    InputError,
    NodeAddressError,
    PenstockError,
    ResourceLimitError,
    UnknownNodeError,
)
from penstock.session import InterceptRequest, Interruption, NodeState, Tap, TapEvent
from penstock.wire.buffers import encode_beside
from penstock.wire.errors import encode_error
from penstock.wire.interrupts import encode_interruption
from penstock.wire.parted import Parted
from penstock.wire.v1 import control_pb2 as pb

PORTS = ("", "main")
"""The names of a node's one port."""
_STATES: dict[int, NodeState] = {
    pb.NODE_STATE_ENABLED: NodeState.ENABLED,
    pb.NODE_STATE_BYPASS: NodeState.BYPASS,
    pb.NODE_STATE_DISABLED: NodeState.DISABLED,
}


class Done(NamedTuple):
    """What a frame has done; ``heeds`` is the node that has yet to heed it."""

    heeds: str | None = None
    sequence: int = 0
    epoch: int = 0
    late: bool = False


class FrameError(InputError):
    """A frame that can't be what it says; ``code`` is the protocol's."""

    def __init__(self, code: pb.ControlErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


def node_at(addr: pb.ControlAddress, direction: pb.ControlDirection) -> str:
    """The node at an address; raises ``FrameError`` for one of another direction, or of no port."""
    if not addr.node_id:
        raise FrameError(pb.CONTROL_ERROR_CODE_INVALID_ADDRESS, "addr.node_id: expected a node")
    if addr.direction != direction:
        expected, found = direction_name(direction), direction_name(addr.direction)
        raise FrameError(
            pb.CONTROL_ERROR_CODE_INVALID_ADDRESS,
            f"addr.direction: expected {expected}, got {found}",
        )
    if addr.port not in PORTS:
        raise FrameError(
            pb.CONTROL_ERROR_CODE_INVALID_ADDRESS,
            f"addr.port: nodes have one port, main, got {addr.port[:200]!r}",
        )
    return addr.node_id


def address_of(frame: pb.ControlFrame) -> pb.ControlAddress | None:
    """What a frame is about, where it names an address."""
    said = getattr(frame, frame.WhichOneof("op") or "hello")
    return said.addr if "addr" in said.DESCRIPTOR.fields_by_name else None


def direction_name(direction: int) -> str:
    """``IN``, ``OUT``, or what else was said."""
    known: dict[int, str] = {pb.CONTROL_DIRECTION_IN: "IN", pb.CONTROL_DIRECTION_OUT: "OUT"}
    return known.get(direction, str(direction))


def decode_state(state: int) -> NodeState:
    """Raises ``FrameError`` for a number that stands for none."""
    found = _STATES.get(state)
    if found is None:
        raise FrameError(
            pb.CONTROL_ERROR_CODE_PROTOCOL,
            f"state: expected ENABLED, BYPASS or DISABLED, got {state}",
        )
    return found


def protocol_error(message: str) -> FrameError:
    """The error of a frame that says nothing that could be done."""
    return FrameError(pb.CONTROL_ERROR_CODE_PROTOCOL, message)


def code_of(error: PenstockError) -> pb.ControlErrorCode:
    """The protocol's code for what a frame could not do."""
    match error:
        case FrameError():
            return error.code
        case UnknownNodeError():
            return pb.CONTROL_ERROR_CODE_UNKNOWN_NODE
        case NodeAddressError():
            return pb.CONTROL_ERROR_CODE_INVALID_ADDRESS
        case InputError() | ResourceLimitError():
            return pb.CONTROL_ERROR_CODE_PROTOCOL
        case _:
            return pb.CONTROL_ERROR_CODE_INTERNAL


def attached(hello: pb.Hello) -> pb.ControlEvent:
    said = pb.Attached(
        session_id=hello.session_id,
        attach_id=hello.attach_id,
        acknowledges=hello.acknowledge,
    )
    return pb.ControlEvent(attached=said)


def tapped(addr: pb.ControlAddress, event: TapEvent) -> Parted[pb.ControlEvent]:
    """An event, with a large payload beside it.

    Raises ``InputError`` for a value that has no place in the protocol.
    """
    message = pb.ControlEvent()
    tap = message.tap
    tap.addr.CopyFrom(addr)
    tap.lost, tap.sequence, tap.part = event.lost, event.sequence, event.part
    tap.timestamp_us = max(event.timestamp_us, 0)
    return Parted(message, encode_beside(tap.data, event.value))


def asked(addr: pb.ControlAddress, request: InterceptRequest) -> Parted[pb.ControlEvent]:
    """The same of an intercept."""
    message = pb.ControlEvent()
    said = message.intercept_request
    said.addr.CopyFrom(addr)
    said.correlation_id = request.number
    said.sequence, said.part = request.sequence, request.part
    said.timestamp_us = max(request.timestamp_us, 0)
    return Parted(message, encode_beside(said.data, request.value))


def refused(
    error: PenstockError, addr: pb.ControlAddress | None, frame: int = 0
) -> pb.ControlEvent:
    """What a frame could not do, or an output that can't be shown (no frame's fault: 0)."""
    whole = encode_error(error)
    said = pb.ErrorEvent(
        code=code_of(error), message=whole.message, addr=addr, frame=frame, error=whole
    )
    return pb.ControlEvent(error=said)


def interrupted(said: Interruption) -> pb.ControlEvent:
    return pb.ControlEvent(interrupted=encode_interruption(said))


def acknowledged(frame: int, done: Done) -> pb.ControlEvent:
    said = pb.Acknowledged(frame=frame, sequence=done.sequence, epoch=done.epoch, late=done.late)
    return pb.ControlEvent(acknowledged=said)


def tap_end(addr: pb.ControlAddress, tap: Tap) -> pb.TapEnd:
    """The end of a tap; what still waits in it will not be read."""
    return pb.TapEnd(addr=addr, lost=tap.lost + tap.waiting)


def closed(
    reason: pb.CloseReasonCode, failure: PenstockError | None, taps: Iterable[pb.TapEnd] = ()
) -> pb.ControlEvent:
    """The end of a session and its taps, and what it failed with or was ended by, if anything."""
    said = pb.SessionClosed(reason=reason, taps=taps)
    if failure is not None:
        said.error.CopyFrom(encode_error(failure))
        said.detail = said.error.message
    return pb.ControlEvent(session_closed=said)
