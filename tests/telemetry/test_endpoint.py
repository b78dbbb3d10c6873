"""The page of metrics over HTTP: to whom it is given, and who gets nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from scraping import ask, get

from penstock.errors import ConfigurationError
from penstock.telemetry import endpoint
from penstock.telemetry.endpoint import LARGEST_REQUEST, MOST_CONNECTIONS, Endpoint, parse_bind

PAGE = "things 1.0\n"


async def page(accept: str) -> tuple[bytes, str]:
    return PAGE.encode(), f"text/plain; asked={accept}"


@contextlib.asynccontextmanager
async def serving(get_page: endpoint.GetPage = page, host: str = "127.0.0.1") -> AsyncIterator[str]:
    async with Endpoint(get_page).serving(host, 0) as address:
        yield address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_page_comes_as_it_is_wished(host: str) -> None:
    async with serving(host=host) as address:
        answer = await get(address, accept="text/fancy")
        assert answer == (200, "text/plain; asked=text/fancy", PAGE)
        assert (await get(address, "/metrics?x=1")).text == PAGE


async def test_head_has_no_body() -> None:
    async with serving() as address:
        answer = await ask(address, b"HEAD /metrics HTTP/1.0\r\n\r\n")
        assert b"Content-Length: 11\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")


async def test_what_else_is_asked_for_is_refused() -> None:
    async with serving() as address:
        assert (await get(address, "/")).status == 404
        assert (await get(address, "/metrics/../etc/passwd")).status == 404
        assert (await get(address, method="POST")).status == 405


RUBBISH = [b"\r\n\r\n", b"\xff\x00\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n:\r\n\r\n"]


@pytest.mark.parametrize("rubbish", RUBBISH)
async def test_rubbish_is_answered_or_dropped(rubbish: bytes) -> None:
    async with serving() as address:
        assert (await ask(address, rubbish)).startswith((b"HTTP/1.1 404", b"HTTP/1.1 200"))
        assert (await get(address)).text == PAGE


async def test_an_endless_request_gets_nothing() -> None:
    endless = b"GET /metrics HTTP/1.1\r\n" + b"x" * 2 * LARGEST_REQUEST
    async with serving() as address:
        with contextlib.suppress(ConnectionError):
            assert await ask(address, endless) == b""
        assert (await get(address)).text == PAGE


async def test_a_page_that_can_not_be_made_is_an_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: str) -> tuple[bytes, str]:
        raise ValueError("no ink")

    async with serving(broken) as address:
        assert (await get(address)).status == 500
    assert "no ink" in caplog.text


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "REQUEST_S", 0.05)
    async with serving() as address:
        with contextlib.suppress(ConnectionError):
            assert await ask(address, b"GET /met") == b""


async def test_who_does_not_read_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ANSWER_S", 0.2)

    async def long(_: str) -> tuple[bytes, str]:
        return b"x" * (64 << 20), "text/plain"

    served = Endpoint(long)
    async with served.serving("127.0.0.1", 0) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.send(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert (await get(address, "/")).status == 404
            async with asyncio.timeout(10):
                while served._connections:
                    await asyncio.wait(served._connections)


async def test_so_many_are_served_at_once_and_no_more() -> None:
    async with serving() as address:
        host, port = address.split(":")
        writers = [
            (await asyncio.open_connection(host, int(port)))[1] for _ in range(MOST_CONNECTIONS)
        ]
        with contextlib.suppress(ConnectionError):
            assert await ask(address, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
        for writer in writers:
            writer.close()


async def test_the_end_comes_though_somebody_is_connected() -> None:
    async with serving() as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def test_a_taken_port_is_the_operators_affair() -> None:
    async with serving() as address:
        port = int(address.split(":")[1])
        with pytest.raises(ConfigurationError) as caught:
            async with Endpoint(page).serving("127.0.0.1", port):
                pass
    said = f"127.0.0.1:{port}: can't be bound: Address already in use"
    assert str(caught.value) == f"telemetry.metrics_bind: {said}"


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:9464", ("127.0.0.1", 9464)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_loopback_needs_no_more_words(bind: str, expected: tuple[str, int]) -> None:
    assert parse_bind(bind, remote=False) == expected


@pytest.mark.parametrize("bind", ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:1"])
def test_what_others_can_reach_has_to_be_said(bind: str) -> None:
    with pytest.raises(ConfigurationError, match="metrics_remote = true"):
        parse_bind(bind, remote=False)
    assert parse_bind(bind, remote=True)[1] > 0


@pytest.mark.parametrize("bind", ["9464", "localhost", "localhost:x", "example.com:1", ":1", "::1"])
def test_what_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"telemetry\.metrics_bind"):
        parse_bind(bind, remote=True)
