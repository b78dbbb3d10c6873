"""What is served can be asked for, with the descriptors of every message."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from wire_client import calls_ended

from penstock.manifest import ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.reflection import SERVICES
from penstock.wire.methods import PATHS, SERVED
from penstock.wire.v1 import execution_pb2, streaming_pb2


async def test_a_client_learns_every_service_and_message(service: str) -> None:
    def learn() -> None:
        with grpc.insecure_channel(service) as channel:
            found = ProtoReflectionDescriptorDatabase(channel)
            assert set(found.get_services()) == set(SERVED)
            pool = DescriptorPool(found)
            for name in SERVED:
                assert pool.FindServiceByName(name).methods
            ours = streaming_pb2.StreamRequest.DESCRIPTOR
            theirs = pool.FindMessageTypeByName(ours.full_name)
            assert [field.name for field in theirs.fields] == [field.name for field in ours.fields]

    await asyncio.to_thread(learn)


async def is_there(channel: grpc.aio.Channel, path: str) -> bool:
    """Whether there is such a method, whatever it makes of no request.

    One that comes after the end of its call would be gRPC's own ``INTERNAL``.
    """
    call = channel.stream_stream(path)(iter([]))
    try:
        await call.read()
    except grpc.aio.AioRpcError as exc:
        return exc.code() is not grpc.StatusCode.UNIMPLEMENTED
    return True


@pytest.mark.parametrize("reflection", [True, False])
async def test_what_is_served_is_in_the_version_and_nothing_else(
    catalogue: Catalogue, reflection: bool
) -> None:
    settings = Settings(service=ServiceSettings(reflection=reflection))
    paths = {*PATHS, *(f"/{name}/ServerReflectionInfo" for name in SERVICES)}
    async with (
        running(settings, "127.0.0.1:0", catalogue) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        there = {path.split("/")[1] for path in paths if await is_there(channel, path)}
        version = channel.unary_unary(
            "/remotemedia.v1.PipelineExecutionService/GetVersion",
            response_deserializer=execution_pb2.VersionResponse.FromString,
        )
        told = list((await version(b"")).version_info.supported_protocols)
    assert told[0] == "remotemedia.v1"
    assert sorted(told[1:]) == sorted(there)
    assert ("grpc.reflection.v1.ServerReflection" in there) == reflection
    await calls_ended()


async def test_it_can_be_switched_off(catalogue: Catalogue) -> None:
    settings = Settings(service=ServiceSettings(reflection=False))
    async with (
        running(settings, "127.0.0.1:0", catalogue) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.stream_stream(path)(iter([b""])).read()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await calls_ended()
