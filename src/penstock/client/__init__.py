"""The Python client of the service: ``Client`` for asyncio, ``BlockingClient`` without."""

from penstock.client.attachment import Attachment
from penstock.client.blocking import BlockingClient, BlockingStream
from penstock.client.blocking_attachment import (
    BlockingAttachment,
    BlockingIntercept,
    BlockingInterceptRequest,
    BlockingTap,
)
from penstock.client.client import Client, ServiceVersion
from penstock.client.intercepts import Intercept, InterceptRequest
from penstock.client.limits import ResourceLimits
from penstock.client.metrics import BridgeReport, ExecutionReport, NodeReport, StreamReport
from penstock.client.options import ClientOptions, ClientTls
from penstock.client.outcomes import (
    ExecutionFailedError,
    ExecutionOutcome,
    ExecutionStatus,
    NodeResult,
    NodeStatus,
)
from penstock.client.plans import PipelinePlan, PlannedEdge, PlannedNode, PlannedResource
from penstock.client.stream import Stream
from penstock.client.taps import Tap
from penstock.client.values import Sendable

__all__ = [
    "Attachment",
    "BlockingAttachment",
    "BlockingClient",
    "BlockingIntercept",
    "BlockingInterceptRequest",
    "BlockingStream",
    "BlockingTap",
    "BridgeReport",
    "Client",
    "ClientOptions",
    "ClientTls",
    "ExecutionFailedError",
    "ExecutionOutcome",
    "ExecutionReport",
    "ExecutionStatus",
    "Intercept",
    "InterceptRequest",
    "NodeReport",
    "NodeResult",
    "NodeStatus",
    "PipelinePlan",
    "PlannedEdge",
    "PlannedNode",
    "PlannedResource",
    "ResourceLimits",
    "Sendable",
    "ServiceVersion",
    "Stream",
    "StreamReport",
    "Tap",
]
