"""What a service answers: each method, with what reads its requests and gives its responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from penstock.service.admission import Admission
from penstock.service.control import ControlServicer
from penstock.service.execution import ExecutionServicer
from penstock.service.health import HealthServicer
from penstock.service.opening import SMALL_BYTES
from penstock.service.planning import PlanningServicer
from penstock.service.reflection import SERVICES as REFLECTION
from penstock.service.reflection import reflection_handlers
from penstock.service.requests import heeding_leave, one_request
from penstock.service.streaming import StreamingServicer
from penstock.wire.methods import (
    ATTACH,
    CHECK_HEALTH,
    EXECUTE_PIPELINE,
    GET_VERSION,
    PLAN_PIPELINE,
    SERVED,
    STREAM_PIPELINE,
    WATCH_HEALTH,
    Method,
)
from penstock.wire.parsing import parsing
from penstock.wire.parted import read_request, write_event, write_response
from penstock.wire.speech import reading_speech, writing_speech

_one_response = grpc.stream_unary_rpc_method_handler
_responses = grpc.stream_stream_rpc_method_handler


def handlers(admission: Admission) -> Iterator[grpc.GenericRpcHandler]:
    """A handler for each method.

    All requests are streams, which are read when a handler asks for them: a call that is refused,
    or never sends its one request, costs next to nothing.
    """
    service = admission.settings.service
    served = [*SERVED, *(REFLECTION if service.reflection else ())]
    execution = ExecutionServicer(admission, served)
    health = HealthServicer(admission.readiness.board, admission.may_see)
    planning = PlanningServicer(admission)
    opening = admission.opening
    for method, make, behaviour, openings, largest in (
        (EXECUTE_PIPELINE, _one_response, execution.execute, opening.large, None),
        (GET_VERSION, _one_response, execution.version, opening.small, SMALL_BYTES),
        (PLAN_PIPELINE, _one_response, planning.plan, opening.large, None),
        (CHECK_HEALTH, _one_response, health.check, opening.small, SMALL_BYTES),
        (WATCH_HEALTH, _responses, health.watch, opening.small, SMALL_BYTES),
    ):
        yield _handler(method, make, one_request(behaviour, openings.read_or_end), largest=largest)
    yield _stream_handler(StreamingServicer(admission).stream)
    yield _handler(ATTACH, _responses, ControlServicer(admission).attach, write_event)
    if service.reflection:
        yield from reflection_handlers(SERVED, opening.inquiries)


def _stream_handler(behaviour: Callable[..., Any]) -> grpc.GenericRpcHandler:
    """Its payloads may be large, or many: they go past protobuf."""
    method = STREAM_PIPELINE
    handler = _responses(
        behaviour,
        request_deserializer=reading_speech(parsing(method.request, read_request)),
        response_serializer=writing_speech(write_response),
    )
    return grpc.method_handlers_generic_handler(method.service, {method.name: handler})


def _handler(
    method: Method[Any, Any],
    make: Callable[..., Any],
    behaviour: Callable[..., Any],
    write: Callable[[Any], bytes] | None = None,
    largest: int | None = None,
) -> grpc.GenericRpcHandler:
    handler = make(
        heeding_leave(behaviour),
        request_deserializer=parsing(method.request, largest=largest),
        response_serializer=write or method.response.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(method.service, {method.name: handler})
