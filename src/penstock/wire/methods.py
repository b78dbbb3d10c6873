"""The protocol's methods: their paths and the messages that they take and give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import health_pb2 as health
from penstock.wire.v1 import penstock_pb2 as ours
from penstock.wire.v1 import streaming_pb2 as streaming

PROTOCOL = "v1"
PACKAGE = "remotemedia.v1"

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ResponseT]):
    """One method of a service; ``path`` is what goes over the wire."""

    service: str
    name: str
    request: type[RequestT]
    response: type[ResponseT]

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


_EXECUTION = f"{PACKAGE}.PipelineExecutionService"
_STREAMING = f"{PACKAGE}.StreamingPipelineService"
_CONTROL = f"{PACKAGE}.PipelineControl"
PLANNING = "penstock.v1.PipelinePlanning"
HEALTH = "grpc.health.v1.Health"

EXECUTE_PIPELINE = Method(
    _EXECUTION, "ExecutePipeline", execution.ExecuteRequest, execution.ExecuteResponse
)
GET_VERSION = Method(_EXECUTION, "GetVersion", execution.VersionRequest, execution.VersionResponse)
STREAM_PIPELINE = Method(
    _STREAMING, "StreamPipeline", streaming.StreamRequest, streaming.StreamResponse
)
ATTACH = Method(_CONTROL, "Attach", control.ControlFrame, control.ControlEvent)
PLAN_PIPELINE = Method(PLANNING, "PlanPipeline", ours.PlanRequest, ours.PlanResponse)
CHECK_HEALTH = Method(HEALTH, "Check", health.HealthCheckRequest, health.HealthCheckResponse)
WATCH_HEALTH = Method(HEALTH, "Watch", health.HealthCheckRequest, health.HealthCheckResponse)

PATHS = frozenset(found.path for found in list(globals().values()) if isinstance(found, Method))
"""Of all the methods above."""
SERVED = tuple(sorted({path.split("/")[1] for path in PATHS}))
"""The services that have them."""

SERVICES = (_EXECUTION, _STREAMING, _CONTROL, PLANNING)
"""What a Penstock service serves, health apart."""
