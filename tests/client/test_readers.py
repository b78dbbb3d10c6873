"""Who reads a stream's outputs: one at a time, and one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from attaching import chain
from test_blocking import ECHO

from penstock.client import BlockingClient, Client, Stream
from penstock.data import Text
from penstock.errors import SessionError

TWO = "a stream's outputs have one reader at a time"
Leave: TypeAlias = Callable[[Stream], Awaitable[None]]


async def test_a_second_reader_is_refused_and_the_first_has_everything(client: Client) -> None:
    """It got nothing, without a word, until the first was done."""
    async with client.stream(chain("EchoNode")) as stream:
        first = stream.outputs()
        reading = asyncio.create_task(anext(first))
        await asyncio.sleep(0)
        with pytest.raises(SessionError, match=TWO):
            await anext(stream.outputs())
        for text in "abc":
            await stream.send("n0", text)
        assert (await reading).value == Text("a")
        with pytest.raises(SessionError, match=TWO):  # it isn't done, though it doesn't wait
            await anext(stream.outputs())
        await stream.close()
        assert [output.value async for output in first] == [Text("b"), Text("c")]
        assert [output async for output in stream.outputs()] == []


async def leave_the_loop(stream: Stream) -> None:
    async for output in stream.outputs():
        assert output.value == Text("a")
        break


async def close(stream: Stream) -> None:
    outputs = stream.outputs()
    assert (await anext(outputs)).value == Text("a")
    await outputs.aclose()


async def give_up(stream: Stream) -> None:
    await leave_the_loop(stream)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream.outputs()), 0.05)


@pytest.mark.parametrize("leave", [leave_the_loop, close, give_up])
async def test_who_is_gone_has_a_successor(client: Client, leave: Leave) -> None:
    async with client.stream(chain("EchoNode")) as stream:
        await stream.send("n0", "a")
        await leave(stream)
        await stream.send("n0", "b")
        await stream.close()
        assert [output.value async for output in stream.outputs()] == [Text("b")]


async def test_who_is_gone_does_not_make_room_in_place_of_its_successor(client: Client) -> None:
    """It is closed some turns of the loop after it was dropped."""
    async with client.stream(chain("EchoNode")) as stream:
        await stream.send("n0", "a")
        await leave_the_loop(stream)
        successor = stream.outputs()
        reading = asyncio.create_task(anext(successor))
        await stream.send("n0", "b")
        assert (await reading).value == Text("b")
        with pytest.raises(SessionError, match=TWO):
            await anext(stream.outputs())


def test_a_second_blocking_reader_is_refused(address: str) -> None:
    with BlockingClient(address) as client, client.stream(ECHO) as stream:
        for text in "ab":
            stream.send("echo", text)
        first = stream.outputs(timeout_s=20)
        assert next(first).value == Text("a")
        with pytest.raises(SessionError, match=TWO):
            next(stream.outputs(timeout_s=0.5))
        assert next(first).value == Text("b")
