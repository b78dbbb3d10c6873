"""``ExecutePipeline``, with a request that is made beforehand, and with Penstock's client."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np

from penstock.client import Client
from penstock.data import Binary
from penstock.manifest import parse_manifest
from penstock.wire.buffers import encode
from penstock.wire.manifests import encode_manifest
from penstock.wire.methods import EXECUTE_PIPELINE
from penstock.wire.v1.common_pb2 import DataBuffer
from penstock.wire.v1.execution_pb2 import ExecuteRequest

PASS_THROUGH: dict[str, Any] = {
    "version": "v1",
    "metadata": {"name": "echo"},
    "nodes": [{"id": "echo", "node_type": "PassThrough"}],
    "connections": [],
}
"""One native node that gives back what it gets."""


def value(nbytes: int) -> Binary:
    return Binary((np.arange(nbytes) % 251).astype(np.uint8))


def message(nbytes: int) -> DataBuffer:
    """The same value as it travels."""
    return encode(value(nbytes))


class Execution:
    """Runs the pass-through pipeline, one session for each call."""

    def __init__(self, channel: grpc.aio.Channel, nbytes: int) -> None:
        self._request = ExecuteRequest(
            manifest=encode_manifest(parse_manifest(PASS_THROUGH)),
            data_inputs={"echo": message(nbytes)},
        )
        self._method: Any = channel.unary_unary(
            EXECUTE_PIPELINE.path,
            request_serializer=ExecuteRequest.SerializeToString,
            response_deserializer=EXECUTE_PIPELINE.response.FromString,
        )

    async def call(self) -> None:
        response = await self._method(self._request)
        assert len(response.result.outputs) == 1


class ClientExecution:
    """The same with Penstock's client, which takes a manifest and values."""

    def __init__(self, client: Client, nbytes: int) -> None:
        self._client = client
        self._inputs = {"echo": value(nbytes)}

    async def call(self) -> None:
        outcome = await self._client.execute(PASS_THROUGH, self._inputs)
        assert len(outcome.outputs) == 1
