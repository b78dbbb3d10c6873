"""The Python client of the service, for asyncio."""

from penstock.client.client import Client, ExecutionOutcome, ServiceVersion
from penstock.client.metrics import BridgeReport, ExecutionReport, NodeReport, StreamReport
from penstock.client.plans import PipelinePlan, PlannedEdge, PlannedNode, PlannedResource
from penstock.client.stream import Stream

__all__ = [
    "BridgeReport",
    "Client",
    "ExecutionOutcome",
    "ExecutionReport",
    "NodeReport",
    "PipelinePlan",
    "PlannedEdge",
    "PlannedNode",
    "PlannedResource",
    "ServiceVersion",
    "Stream",
    "StreamReport",
]
