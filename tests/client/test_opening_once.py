"""Streams and attachments that are entered again: refused, and what is open goes on."""

from __future__ import annotations

import asyncio

import pytest
from attaching import chain
from test_blocking import ECHO

from penstock.client import BlockingClient, Client
from penstock.data import Text
from penstock.errors import SessionError


async def test_a_stream_that_is_open_is_not_opened_again(client: Client) -> None:
    """The first call was left running, with nobody to end it."""
    async with client.stream(chain("EchoNode")) as stream:
        session_id, tasks = stream.session_id, asyncio.all_tasks()
        with pytest.raises(SessionError, match="a stream is opened once"):
            async with stream:
                pass
        assert (stream.session_id, asyncio.all_tasks()) == (session_id, tasks)
        await stream.send("n0", "x")
        await stream.close()
        assert [output.value async for output in stream.outputs()] == [Text("x")]


async def test_a_stream_that_was_left_is_not_opened_again(client: Client) -> None:
    stream = client.stream(chain("EchoNode"))
    async with stream:
        pass
    with pytest.raises(SessionError, match="a stream is opened once"):
        async with stream:
            pass


async def test_a_stream_that_could_not_be_opened_is_not_opened_again(client: Client) -> None:
    stream = client.stream(chain("raise_in_setup"))
    for said in ("no model at this path", "a stream is opened once"):
        with pytest.raises(Exception, match=said):
            async with stream:
                pass


async def test_an_attachment_that_is_open_is_not_opened_again(client: Client) -> None:
    """It was refused, with another call begun that nobody ended."""
    async with (
        client.stream(chain("EchoNode")) as stream,
        client.attach(stream.session_id) as attachment,
    ):
        tap, tasks = await attachment.tap("n0"), asyncio.all_tasks()
        with pytest.raises(SessionError, match="an attachment is opened once"):
            async with attachment:
                pass
        assert asyncio.all_tasks() == tasks
        await stream.send("n0", "x")
        assert (await anext(tap)).value == Text("x")
    with pytest.raises(SessionError, match="an attachment is opened once"):
        async with attachment:
            pass


def test_the_blocking_forms_are_opened_once(address: str) -> None:
    with BlockingClient(address) as client:
        with (
            client.stream(ECHO) as stream,
            client.attach(stream.session_id) as attachment,
        ):
            with pytest.raises(SessionError, match="a stream is opened once"), stream:
                pass
            with pytest.raises(SessionError, match="an attachment is opened once"), attachment:
                pass
            tap = attachment.tap("echo")
            stream.send("echo", "x")
            assert next(tap.events(timeout_s=20)).value == Text("x")
            assert next(stream.outputs(timeout_s=20)).value == Text("x")
        with pytest.raises(SessionError, match="a stream is opened once"), stream:
            pass
