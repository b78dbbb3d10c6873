"""What a client of the control bus asks, and what it makes of the answers."""

from __future__ import annotations

import math

import pytest

from penstock.errors import (
    InputError,
    InvalidValueError,
    NodeAddressError,
    NodeExitedError,
    PenstockError,
    ResourceLimitError,
    ServiceError,
    SessionCancelledError,
    SessionClosedError,
    SupervisionError,
    UnknownNodeError,
)
from penstock.wire import control_frames as wire
from penstock.wire.control import closed, refused
from penstock.wire.v1 import control_pb2 as pb

NORMAL, ERROR = pb.CLOSE_REASON_CODE_NORMAL, pb.CLOSE_REASON_CODE_ERROR


@pytest.mark.parametrize(
    "error",
    [
        UnknownNodeError("n", ["a", "b"]),
        UnknownNodeError("n", ["a", "na"], "na"),
        NodeAddressError("n", "is a join"),
        InvalidValueError("node 'n' accepts text, got json"),
        InputError("correlation_id: nothing was ever asked by the number 7"),
        ResourceLimitError("file_bytes", wished=3, free=2, limit=4),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_comes_back_as_it_was(error: PenstockError) -> None:
    found = wire.decode_refusal(refused(error, None, 1).error, "n")
    assert type(found) is type(error)
    assert (str(found), vars(found)) == (str(error), vars(error))


def test_what_is_the_service_s_own_fault_tells_no_paths() -> None:
    error = SupervisionError("the zygote at /srv/penstock/run/zygote is gone")
    event = refused(error, None, 1).error
    assert "/srv" not in str(event)
    found = wire.decode_refusal(event, "n")
    assert isinstance(found, ServiceError)
    assert (str(found), found.error_type) == ("the zygote at … is gone", "INTERNAL")


@pytest.mark.parametrize("code", pb.ControlErrorCode.values())
def test_a_refusal_without_facts_still_says_what_is_wrong(code: pb.ControlErrorCode) -> None:
    known = (
        pb.CONTROL_ERROR_CODE_UNKNOWN_NODE,
        pb.CONTROL_ERROR_CODE_INVALID_ADDRESS,
        pb.CONTROL_ERROR_CODE_PROTOCOL,
    )
    for context in ("", "no JSON", "[]", "7"):
        event = pb.ErrorEvent(code=code, message="what is wrong")
        event.error.context = context
        found = wire.decode_refusal(event, "n")
        assert str(found) == "what is wrong"
        assert type(found) is (InputError if code in known else ServiceError)


def end(said: pb.ControlEvent) -> PenstockError:
    return wire.decode_end(said.session_closed)


def test_how_a_session_ended_is_told() -> None:
    assert repr(end(closed(NORMAL, None))) == repr(SessionClosedError("the session has ended"))
    early = end(closed(NORMAL, SessionCancelledError("cancelled by the client")))
    assert isinstance(early, SessionCancelledError)
    assert early.reason == "cancelled by the client"
    failed = end(closed(ERROR, NodeExitedError("n", pid=7, exit_code=3)))
    assert isinstance(failed, ServiceError)
    assert (failed.node_id, failed.error_type) == ("n", "NODE_EXECUTION")
    bare = wire.decode_end(pb.SessionClosed(reason=ERROR, detail="out of luck"))
    assert (type(bare), str(bare)) == (ServiceError, "out of luck")
    bare = wire.decode_end(pb.SessionClosed(reason=NORMAL, detail="early"))
    assert (type(bare), str(bare)) == (SessionClosedError, "early")


@pytest.mark.parametrize(
    ("deadline_s", "deadline_ms"), [(0.05, 50), (1e-9, 1), (0.0011, 2), (1e12, (1 << 32) - 1)]
)
def test_a_deadline_is_never_none_at_all(deadline_s: float, deadline_ms: int) -> None:
    assert wire.intercept("n", deadline_s).intercept.deadline_ms == deadline_ms


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, math.nan, math.inf])
def test_a_deadline_that_is_none(deadline_s: float) -> None:
    with pytest.raises(InputError, match="deadline_s"):
        wire.intercept("n", deadline_s)
