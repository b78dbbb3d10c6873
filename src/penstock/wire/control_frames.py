"""The control bus as its client speaks it: frames that ask, and what is answered. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from penstock.data import Value
from penstock.errors import (
    InputError,
    InvalidValueError,
    NodeAddressError,
    PenstockError,
    ResourceLimitError,
    ServiceError,
    SessionCancelledError,
    SessionClosedError,
    UnknownNodeError,
)
from penstock.executors.node_state import as_state
from penstock.session import NodeState
from penstock.wire.buffers import encode_into
from penstock.wire.errors import decode_error
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import control_pb2 as pb

_STATES: dict[NodeState, pb.NodeState] = {
    NodeState.ENABLED: pb.NODE_STATE_ENABLED,
    NodeState.BYPASS: pb.NODE_STATE_BYPASS,
    NodeState.DISABLED: pb.NODE_STATE_DISABLED,
}
_LONGEST_MS = (1 << 32) - 1


def hello(session_id: str, attach_id: str) -> pb.ControlFrame:
    """The first frame; every one that follows is answered."""
    said = pb.Hello(session_id=session_id, attach_id=attach_id, acknowledge=True)
    return pb.ControlFrame(hello=said)


def subscribe(node_id: str) -> pb.ControlFrame:
    return pb.ControlFrame(subscribe=pb.Subscribe(addr=_outputs_of(node_id)))


def unsubscribe(node_id: str) -> pb.ControlFrame:
    return pb.ControlFrame(unsubscribe=pb.Unsubscribe(addr=_outputs_of(node_id)))


def intercept(node_id: str, deadline_s: float) -> pb.ControlFrame:
    """The deadline is rounded up to milliseconds; raises ``InputError`` for one that is none."""
    if not 0 < deadline_s < math.inf:
        raise InputError(f"deadline_s: expected more than 0 seconds, got {deadline_s}")
    deadline_ms = min(math.ceil(deadline_s * 1e3), _LONGEST_MS)
    said = pb.Intercept(addr=_outputs_of(node_id), deadline_ms=deadline_ms)
    return pb.ControlFrame(intercept=said)


def remove_intercept(node_id: str) -> pb.ControlFrame:
    return pb.ControlFrame(remove_intercept=pb.RemoveIntercept(addr=_outputs_of(node_id)))


def let_pass(number: int) -> pb.ControlFrame:
    decision = pb.InterceptDecision()
    getattr(decision, "pass").SetInParent()  # no name that Python could say otherwise
    return _reply(number, decision)


def drop(number: int) -> pb.ControlFrame:
    return _reply(number, pb.InterceptDecision(drop=pb.Empty()))


def replace(number: int, value: Value) -> pb.ControlFrame:
    """Raises ``InvalidValueError`` for a value that has no place in the protocol."""
    frame = _reply(number, pb.InterceptDecision())
    encode_into(frame.intercept_reply.decision.replace, value)
    return frame


def publish(node_id: str, value: Value, timestamp_us: int) -> pb.ControlFrame:
    """Raises ``InputError`` for what has no place in the protocol."""
    if not 0 <= timestamp_us < 1 << 64:
        raise InputError(f"timestamp_us: expected 0 to 2**64 - 1, got {timestamp_us}")
    frame = pb.ControlFrame()
    frame.publish.addr.node_id = node_id
    frame.publish.addr.direction = pb.CONTROL_DIRECTION_IN
    frame.publish.timestamp_us = timestamp_us
    encode_into(frame.publish.data, value)
    return frame


def set_state(node_id: str, state: NodeState) -> pb.ControlFrame:
    """Raises ``InputError`` for what is no state."""
    said = pb.SetNodeState(node_id=node_id, state=_STATES[as_state(state)])
    return pb.ControlFrame(set_node_state=said)


def interrupt(node_id: str | None, overtakes: int = 0) -> pb.ControlFrame:
    """None is the client, and so everything; what it ``overtakes`` are a stream's messages."""
    said = pb.Interrupt(node_id=node_id or "", overtakes=overtakes)
    return pb.ControlFrame(interrupt=said)


def decode_refusal(said: pb.ErrorEvent, node_id: str) -> PenstockError:
    """The exception that a session in this process would have raised, for a frame about a node.

    What is the service's own fault is a ``ServiceError``; an error that came without its facts,
    from another service, is an ``InputError`` where the code says that much.
    """
    facts = _facts(said.error)
    match said.code:
        case pb.CONTROL_ERROR_CODE_UNKNOWN_NODE if "known" in facts:
            return UnknownNodeError(node_id, facts["known"], facts.get("suggestion"))
        case pb.CONTROL_ERROR_CODE_INVALID_ADDRESS if "fact" in facts:
            return NodeAddressError(node_id, facts["fact"])
        case pb.CONTROL_ERROR_CODE_PROTOCOL:
            return _input_error(said, facts)
        case pb.CONTROL_ERROR_CODE_UNKNOWN_NODE | pb.CONTROL_ERROR_CODE_INVALID_ADDRESS:
            return InputError(said.message)
        case _:
            return _service_error(said.error, said.message)


def decode_end(said: pb.SessionClosed) -> PenstockError:
    """What is raised for whatever is asked of a session after its end."""
    if said.reason != pb.CLOSE_REASON_CODE_NORMAL:
        return _service_error(said.error, said.detail or "the session failed")
    early = _facts(said.error).get("reason")
    if early is not None:
        return SessionCancelledError(early)
    return SessionClosedError(said.detail or "the session has ended")


def _outputs_of(node_id: str) -> pb.ControlAddress:
    return pb.ControlAddress(node_id=node_id, direction=pb.CONTROL_DIRECTION_OUT)


def _reply(number: int, decision: pb.InterceptDecision) -> pb.ControlFrame:
    said = pb.InterceptReply(correlation_id=number, decision=decision)
    return pb.ControlFrame(intercept_reply=said)


def _input_error(said: pb.ErrorEvent, facts: dict[str, Any]) -> PenstockError:
    if said.error.error_type == common.ERROR_TYPE_TYPE_VALIDATION:
        return InvalidValueError(said.message)
    if facts.keys() >= {"resource", "wished", "free", "limit"}:
        wished, free, limit = facts["wished"], facts["free"], facts["limit"]
        return ResourceLimitError(facts["resource"], wished=wished, free=free, limit=limit)
    return InputError(said.message)


def _service_error(said: common.ErrorResponse, message: str) -> ServiceError:
    whole = common.ErrorResponse()
    whole.CopyFrom(said)
    whole.message = whole.message or message
    return decode_error(whole)


def _facts(said: common.ErrorResponse) -> dict[str, Any]:
    """What an error says besides, by name; nothing of what is no JSON object."""
    try:
        found = json.loads(said.context or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
