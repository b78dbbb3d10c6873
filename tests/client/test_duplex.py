"""A service that ends a call before the client has written to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from penstock.client import Client, client
from penstock.errors import ServiceError
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.parted import write_request

ECHO: dict[str, Any] = {"version": "v1", "nodes": [{"id": "echo", "node_type": "PassThrough"}]}


class Refusing:
    """A service on threads of its own, which refuses each stream and reads nothing of it."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._threads = ThreadPoolExecutor(1)
        self._server = grpc.server(self._threads)
        methods = {STREAM_PIPELINE.name: grpc.stream_stream_rpc_method_handler(self._refuse)}
        handler = grpc.method_handlers_generic_handler(STREAM_PIPELINE.service, methods)
        self._server.add_generic_rpc_handlers((handler,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _refuse(self, _requests: object, context: grpc.ServicerContext) -> None:
        context.add_callback(self.ended.set)
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

    def close(self) -> None:
        self._server.stop(0).wait(10)
        self._threads.shutdown()


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    made = Refusing()
    yield made
    made.close()


async def test_a_message_that_comes_too_late_does_not_hide_why(
    refusing: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop is held from when a call has begun until the service has ended it.

    Which of the two it hears of first is chance then, so it is done several times.
    """

    def late(message: Any) -> bytes:
        assert refusing.ended.wait(10)
        time.sleep(0.05)  # gRPC's own threads hear of it meanwhile
        refusing.ended.clear()
        return write_request(message)

    monkeypatch.setattr(client, "write_request", late)
    async with Client(refusing.address) as made:
        for _ in range(10):
            with pytest.raises(ServiceError) as caught:
                async with made.stream(ECHO):
                    pass
            assert (caught.value.error_type, str(caught.value)) == ("UNAUTHENTICATED", "no")
