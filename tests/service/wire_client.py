"""A bare gRPC client, as one in another language would be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Self

import grpc
from grpc_status import rpc_status

from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

CLOSE = streaming.StreamRequest(
    control=streaming.StreamControl(command=streaming.StreamControl.COMMAND_CLOSE)
)
CANCEL = streaming.StreamRequest(
    control=streaming.StreamControl(command=streaming.StreamControl.COMMAND_CANCEL)
)


class WireClient:
    """Calls methods by their paths, on a connection that it may share with others.

    ``narrow`` has the connection take no more than 64 KiB for a call that nobody reads.
    """

    def __init__(self, target: str, *, alone: bool = False, narrow: bool = False) -> None:
        options = [("grpc.use_local_subchannel_pool", int(alone or narrow))]
        if narrow:
            options.append(("grpc.http2.bdp_probe", 0))
        self._channel = grpc.aio.insecure_channel(target, options)
        service = "/remotemedia.v1.PipelineExecutionService/"
        self.execute = self._channel.unary_unary(
            service + "ExecutePipeline",
            request_serializer=execution.ExecuteRequest.SerializeToString,
            response_deserializer=execution.ExecuteResponse.FromString,
        )
        self.version = self._channel.unary_unary(
            service + "GetVersion",
            request_serializer=execution.VersionRequest.SerializeToString,
            response_deserializer=execution.VersionResponse.FromString,
        )
        self.stream = self._channel.stream_stream(
            "/remotemedia.v1.StreamingPipelineService/StreamPipeline",
            request_serializer=streaming.StreamRequest.SerializeToString,
            response_deserializer=streaming.StreamResponse.FromString,
        )
        self.attach = self._channel.stream_stream(
            "/remotemedia.v1.PipelineControl/Attach",
            request_serializer=control.ControlFrame.SerializeToString,
            response_deserializer=control.ControlEvent.FromString,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()


def pipeline(*types: str, params: Any = None, **multiprocess: Any) -> execution.PipelineManifest:
    """A chain of nodes called ``n0``, ``n1``, …; ``params`` are those of the first."""
    return execution.PipelineManifest(
        version="1.0",
        metadata=execution.ManifestMetadata(
            multiprocess=execution.MultiprocessConfig(**multiprocess)
        ),
        nodes=[
            execution.NodeManifest(
                id=f"n{index}",
                node_type=name,
                params=json.dumps(params) if params and not index else "",
            )
            for index, name in enumerate(types)
        ],
        connections=[
            execution.Connection(**{"from": f"n{index}", "to": f"n{index + 1}"})
            for index in range(len(types) - 1)
        ],
    )


def text(said: str) -> pb.DataBuffer:
    return pb.DataBuffer(text=pb.TextBuffer(text_data=said.encode()))


def init(manifest: execution.PipelineManifest, **fields: Any) -> streaming.StreamRequest:
    return streaming.StreamRequest(init=streaming.StreamInit(manifest=manifest, **fields))


def chunk(said: str, node_id: str = "n0", **fields: Any) -> streaming.StreamRequest:
    return streaming.StreamRequest(
        data_chunk=streaming.DataChunk(node_id=node_id, buffer=text(said), **fields)
    )


async def converse(
    wire: WireClient, *requests: streaming.StreamRequest
) -> list[streaming.StreamResponse]:
    """Send everything, end this side, and read to the end; the status must be OK."""
    call = wire.stream(iter(requests))
    responses = [response async for response in call]
    assert await call.code() is grpc.StatusCode.OK
    return responses


def kinds(responses: Iterable[streaming.StreamResponse]) -> list[str | None]:
    return [response.WhichOneof("response") for response in responses]


async def rest(call: Any) -> list[streaming.StreamResponse]:
    """What a call that was read from still gives, up to its end; raises what ends it."""
    responses = []
    while (response := await call.read()) is not grpc.aio.EOF:
        responses.append(response)
    return responses


async def details(call: Any) -> streaming.StreamErrorResponse:
    """What a client in any language unpacks of the call's status."""
    status = await rpc_status.aio.from_call(call)
    assert status is not None, "no status details"
    unpacked = streaming.StreamErrorResponse()
    assert status.details[0].Unpack(unpacked)
    return unpacked


GRPC_TASKS = ("rpc_task",)


async def use_grpc_once() -> None:
    """Have what gRPC starts for the rest of the process."""
    grpc.aio.init_grpc_aio()
    async with (
        running(Settings(), "127.0.0.1:0", Catalogue.installed()) as address,
        WireClient(address) as client,
    ):
        await client.version(execution.VersionRequest())


def _is_grpcs(task: asyncio.Task[Any]) -> bool:
    """A server's, or what waits for the status of a call that its client has left."""
    work = getattr(task.get_coro(), "__qualname__", "")
    return task.get_name() in GRPC_TASKS or work == "_AioCall._handle_status_once_received"


async def calls_ended() -> None:
    """gRPC's own tasks end a few turns of the loop after their server, or their call."""
    left = [task for task in asyncio.all_tasks() if _is_grpcs(task)]
    if left:
        await asyncio.wait(left)
