"""Seconds that are very many, without end, or none at all, wherever the client takes some."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from attaching import chain
from test_blocking import ECHO

from penstock.client import BlockingClient, Client, ClientOptions
from penstock.data import Text
from penstock.errors import InputError

VERY_LONG = pytest.mark.parametrize("seconds", [2.0**31, 1e10, 1e300, math.inf])
NO_TIME = pytest.mark.parametrize("seconds", [math.nan, -1.0, -math.inf])


@VERY_LONG
async def test_a_long_time_is_long(client: Client, seconds: float) -> None:
    """The service was told a deadline that had passed."""
    outcome = await client.execute(chain("EchoNode"), {"n0": "x"}, timeout_s=seconds)
    assert [output.value for output in outcome.outputs] == [Text("x")]
    async with (
        client.stream(chain("EchoNode"), timeout_s=seconds) as stream,
        client.attach(stream.session_id, timeout_s=seconds) as attachment,
    ):
        await attachment.publish("n0", "x")
        assert (await anext(stream.outputs())).value == Text("x")


@NO_TIME
async def test_what_is_no_time_is_not_even_sent(client: Client, seconds: float) -> None:
    said = r"timeout_s: expected 0 seconds or more, got "
    with pytest.raises(InputError, match=said):
        await client.execute(chain("EchoNode"), {"n0": "x"}, timeout_s=seconds)
    with pytest.raises(InputError, match=said):
        client.stream(chain("EchoNode"), timeout_s=seconds)
    with pytest.raises(InputError, match=said):
        client.attach("a session", timeout_s=seconds)


def test_a_blocking_wait_is_as_long(address: str) -> None:
    with BlockingClient(address) as client, client.stream(ECHO, timeout_s=math.inf) as stream:
        for seconds in (1e10, 1e300, math.inf):
            stream.send("echo", "x", timeout_s=seconds)
            assert next(stream.outputs(timeout_s=seconds)).value == Text("x")


@NO_TIME
def test_a_blocking_wait_of_no_time_does_nothing(address: str, seconds: float) -> None:
    with (
        BlockingClient(address) as client,
        client.stream(ECHO) as stream,
        client.attach(stream.session_id) as attachment,
    ):
        tap = attachment.tap("echo")
        waits: list[Callable[[], Any]] = [
            lambda: stream.send("echo", "not sent", timeout_s=seconds),
            lambda: next(stream.outputs(timeout_s=seconds)),
            lambda: next(tap.events(timeout_s=seconds)),
            lambda: attachment.until_over(timeout_s=seconds),
        ]
        for wait in waits:
            with pytest.raises(InputError, match="timeout_s: expected 0 seconds or more"):
                wait()
        stream.send("echo", "sent")
        assert next(stream.outputs(timeout_s=20)).value == Text("sent")


@pytest.mark.parametrize("seconds", [1e7, 1e10, math.inf])
def test_pings_may_be_as_far_apart(address: str, seconds: float) -> None:
    with BlockingClient(address, ClientOptions(keepalive_s=seconds)) as client:
        assert client.version().compatible


@pytest.mark.parametrize("seconds", [math.nan, -1.0, 0.0])
def test_pings_are_some_time_apart(seconds: float) -> None:
    with pytest.raises(ValueError, match="keepalive_s: expected more than 0, got"):
        ClientOptions(keepalive_s=seconds)
