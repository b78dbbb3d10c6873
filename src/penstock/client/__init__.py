"""The Python client of the service: ``Client`` for asyncio, ``BlockingClient`` without."""

from penstock.client.blocking import BlockingClient, BlockingStream
from penstock.client.client import Client, ExecutionOutcome, ServiceVersion
from penstock.client.metrics import BridgeReport, ExecutionReport, NodeReport, StreamReport
from penstock.client.options import ClientOptions, ClientTls
from penstock.client.plans import PipelinePlan, PlannedEdge, PlannedNode, PlannedResource
from penstock.client.stream import Stream
from penstock.client.values import Sendable

__all__ = [
    "BlockingClient",
    "BlockingStream",
    "BridgeReport",
    "Client",
    "ClientOptions",
    "ClientTls",
    "ExecutionOutcome",
    "ExecutionReport",
    "NodeReport",
    "PipelinePlan",
    "PlannedEdge",
    "PlannedNode",
    "PlannedResource",
    "Sendable",
    "ServiceVersion",
    "Stream",
    "StreamReport",
]
