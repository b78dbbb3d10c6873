"""What a client sends beside single values: inputs with the opening, several at once, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from attaching import chain
from test_blocking import ECHO

from penstock.client import BlockingClient, Client, ExecutionFailedError, ResourceLimits, Stream
from penstock.data import Audio, Tensor, Text
from penstock.errors import (
    InputError,
    InvalidValueError,
    ServiceError,
    SessionClosedError,
    SessionError,
)
from penstock.session import Output

BIG = np.arange(200_000, dtype=np.float32)
SOUND = Audio(np.zeros(100, np.int16), 8_000)


def sides(*types: str, **multiprocess: Any) -> dict[str, Any]:
    """Nodes called ``n0``, ``n1``, … beside each other."""
    manifest = chain(*types, **multiprocess)
    return {**manifest, "connections": []}


def by_node(outputs: list[Output]) -> dict[str, list[Any]]:
    return {
        name: [(one.sequence, one.value) for one in outputs if one.node_id == name]
        for name in sorted({one.node_id for one in outputs})
    }


async def read(stream: Stream) -> dict[str, list[Any]]:
    await stream.close()
    return by_node([output async for output in stream.outputs()])


async def test_inputs_of_a_stream_come_before_anything_else(client: Client) -> None:
    manifest = sides("EchoNode", "PassThrough")
    async with client.stream(manifest, inputs={"n0": "first", "n1": BIG}) as stream:
        await stream.send("n0", "second")
        await stream.send("n0", "third")
        found = await read(stream)
    assert found == {
        "n0": [(0, Text("first")), (0, Text("second")), (1, Text("third"))],
        "n1": [(0, Tensor(BIG))],
    }


async def test_values_that_are_sent_together_have_one_number(client: Client) -> None:
    async with client.stream(sides("EchoNode", "PassThrough")) as stream:
        await stream.send_together({"n0": "a", "n1": BIG}, sequence=7, timestamp_ms=3)
        await stream.send_together({"n1": b"b"}, sequence=8)
        found = await read(stream)
    assert found["n0"] == [(7, Text("a"))]
    assert [number for number, _ in found["n1"]] == [7, 8]
    assert found["n1"][0][1] == Tensor(BIG)


async def test_values_without_a_number_share_the_one_that_the_service_gives(
    client: Client,
) -> None:
    async with client.stream(sides("EchoNode", "PassThrough")) as stream:
        for text in "abc":
            await stream.send_together({"n0": text, "n1": text})
        found = await read(stream)
    told = [(number, Text(text)) for number, text in enumerate("abc")]
    assert found == {"n0": told, "n1": told}


async def test_more_than_fits_flows_together_with_two_tasks(client: Client) -> None:
    """24 MB through lanes of two messages: both sides have to wait for each other."""
    big = "x" * 200_000
    async with client.stream(sides("EchoNode", "EchoNode", channel_capacity=2)) as stream:

        async def send_all() -> None:
            for _ in range(60):
                await stream.send_together({"n0": big, "n1": big})
            await stream.close()

        sending = asyncio.create_task(send_all())
        received = [output.value async for output in stream.outputs()]
        await sending
    assert received == [Text(big)] * 120


async def test_values_that_are_sent_together_wait_for_room(client: Client) -> None:
    manifest = sides("hang_in_process", "PassThrough", channel_capacity=1)
    async with client.stream(manifest) as stream:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_for_ever(stream), 0.5)
        with pytest.raises(ServiceError, match="given up"):
            await stream.send_together({"n0": "x"})


async def send_for_ever(stream: Stream) -> None:
    while True:
        await stream.send_together({"n0": "x" * 500_000, "n1": "x"})


async def test_what_can_not_be_sent_together_is_named_and_the_stream_goes_on(
    client: Client,
) -> None:
    wrong: list[tuple[Any, str]] = [
        ({}, "values: expected at least one"),
        ({"n0": 7}, r"values\['n0'\]: a node takes one value, str, bytes or array, got int"),
        ({7: "x"}, r"values\[7\]: that ID can't be sent"),
    ]
    stream = client.stream(sides("EchoNode"))
    with pytest.raises(SessionError, match="has not been opened"):
        await stream.send_together({"n0": "x"})
    async with stream:
        for values, said in wrong:
            with pytest.raises(InputError, match=said):
                await stream.send_together(values)
        await stream.send_together({"n0": "x"})
        assert await read(stream) == {"n0": [(0, Text("x"))]}
        with pytest.raises(SessionClosedError):
            await stream.send_together({"n0": "late"})


async def test_inputs_that_are_none_are_named(client: Client) -> None:
    wrong: Any = {"n0": [Text("a")]}
    with pytest.raises(InvalidValueError, match=r"inputs\['n0'\]: .* one value.* list"):
        client.stream(chain("EchoNode"), inputs=wrong)
    with pytest.raises(InputError, match=r"inputs\['\\udc80'\]: that ID can't be sent"):
        await client.execute(chain("EchoNode"), {"\udc80": "x"})


async def test_an_execution_has_its_limits(client: Client) -> None:
    async def refused(limits: ResourceLimits, kind: str) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            await client.execute(chain(kind), {"n0": SOUND}, limits=limits)
        assert caught.value.error_type == "RESOURCE_LIMIT"
        return caught.value

    assert "max_audio_samples: 100 wished" in str(
        await refused(ResourceLimits(max_audio_samples=99), "EchoNode")
    )
    late = await refused(ResourceLimits(max_timeout_ms=500), "hang_in_process")
    assert "max_timeout_ms" in str(late)
    assert isinstance(late, ExecutionFailedError)
    small = await refused(ResourceLimits(max_memory_bytes=1), "EchoNode")
    assert not isinstance(small, ExecutionFailedError)
    wide = ResourceLimits(1 << 40, 60_000, 100)
    assert len((await client.execute(chain("EchoNode"), {"n0": SOUND}, limits=wide)).outputs) == 1


async def test_a_stream_has_its_limits(client: Client) -> None:
    with pytest.raises(ServiceError, match="max_memory_bytes"):
        async with client.stream(chain("EchoNode"), limits=ResourceLimits(max_memory_bytes=1)):
            pass
    limits = ResourceLimits(max_audio_samples=250)
    async with client.stream(chain("EchoNode"), inputs={"n0": SOUND}, limits=limits) as stream:
        await stream.send("n0", SOUND)
        await stream.send_together({"n0": SOUND})
        with pytest.raises(ServiceError, match="max_audio_samples: 100 wished, 50 free of 250"):
            await read(stream)
    async with client.stream(chain("EchoNode"), limits=ResourceLimits(max_timeout_ms=500)) as late:
        with pytest.raises(ServiceError, match="max_timeout_ms"):
            await anext(late.outputs())


@pytest.mark.parametrize("wrong", [0, -1, 1 << 64])
def test_what_is_no_limit_is_refused(wrong: int) -> None:
    make: list[Callable[[Any], ResourceLimits]] = [
        lambda given: ResourceLimits(max_memory_bytes=given),
        lambda given: ResourceLimits(max_timeout_ms=given),
        lambda given: ResourceLimits(max_audio_samples=given),
    ]
    for limits in make:
        with pytest.raises(ValueError, match=r"max_\w+: expected 1 to 2\*\*64 - 1, got"):
            limits(wrong)
        for no_number in (1.5, "1", True):
            with pytest.raises(TypeError, match=r"max_\w+: expected an int or None, got"):
                limits(no_number)


def test_the_blocking_client_sends_the_same(address: str) -> None:
    manifest = {**ECHO, "nodes": [{"id": name, "node_type": "PassThrough"} for name in "ab"]}
    limits = ResourceLimits(max_audio_samples=100)
    with BlockingClient(address) as client:
        with client.stream(manifest, inputs={"a": "first"}, limits=limits) as stream:
            stream.send_together({"a": "x", "b": BIG}, sequence=4, timeout_s=20)
            stream.close()
            found = by_node(list(stream.outputs(timeout_s=20)))
            assert [value for _, value in found["a"]] == [Text("first"), Text("x")]
            assert found["b"] == [(4, Tensor(BIG))]
        with client.stream(manifest, inputs={"a": SOUND}, limits=limits) as stream:
            stream.send_together({"b": SOUND})
            with pytest.raises(ServiceError, match="max_audio_samples"):
                list(stream.outputs(timeout_s=20))
        with pytest.raises(ServiceError, match="max_audio_samples"):
            client.execute(manifest, {"a": SOUND, "b": SOUND}, limits=limits)
