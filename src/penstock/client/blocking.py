"""The client for programs without an event loop: the asyncio client, on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from penstock.client.attachment import Attachment
from penstock.client.blocking_attachment import BlockingAttachment
from penstock.client.client import Client, ServiceVersion
from penstock.client.limits import ResourceLimits
from penstock.client.loop_thread import LoopThread, following
from penstock.client.metrics import ExecutionReport, StreamReport
from penstock.client.options import ClientOptions
from penstock.client.outcomes import ExecutionOutcome
from penstock.client.plans import PipelinePlan
from penstock.client.stream import Stream
from penstock.client.values import Sendable
from penstock.errors import SessionClosedError, SessionError
from penstock.manifest import Manifest
from penstock.manifest.front_door import Source
from penstock.session import Interruption, NodeProgress, Output


class BlockingClient:
    """What ``Client`` is, with methods that wait; several threads may use it at once.

    ::

        with BlockingClient("127.0.0.1:50051") as client:
            with client.stream("pipeline.json") as stream:
                stream.send("hear", "my name is Ada")
                stream.close()
                for output in stream.outputs():
                    print(output.node_id, output.value)

    Callbacks are called on the client's own thread: they must not call the client. A ``timeout_s``
    that passes raises ``TimeoutError``, one that is no time ``InputError``.
    """

    def __init__(self, target: str, options: ClientOptions | None = None) -> None:
        self._client = Client(target, options)
        self._thread = LoopThread("penstock client")

    def version(self) -> ServiceVersion:
        """As ``Client.version``."""
        return self._thread.run(self._client.version())

    def execute(
        self,
        manifest: Source | Manifest,
        inputs: Mapping[str, Sendable],
        *,
        limits: ResourceLimits | None = None,
        timeout_s: float | None = None,
    ) -> ExecutionOutcome:
        """As ``Client.execute``."""
        executing = self._client.execute(manifest, inputs, limits=limits, timeout_s=timeout_s)
        return self._thread.run(executing)

    def plan(self, manifest: Source | Manifest) -> PipelinePlan:
        """As ``Client.plan``."""
        return self._thread.run(self._client.plan(manifest))

    def stream(
        self,
        manifest: Source | Manifest,
        *,
        inputs: Mapping[str, Sendable] | None = None,
        limits: ResourceLimits | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[NodeProgress], None] | None = None,
        on_interrupt: Callable[[Interruption], None] | None = None,
    ) -> BlockingStream:
        """As ``Client.stream``, to be opened with ``with``."""

        async def opened() -> Stream:  # a stream belongs to the loop that it is made on
            return self._client.stream(
                manifest,
                inputs=inputs,
                limits=limits,
                timeout_s=timeout_s,
                on_progress=on_progress,
                on_interrupt=on_interrupt,
            )

        return BlockingStream(self._thread.run(opened()), self._thread)

    def attach(
        self,
        session_id: str,
        *,
        attach_id: str | None = None,
        timeout_s: float | None = None,
        on_interrupt: Callable[[Interruption], None] | None = None,
    ) -> BlockingAttachment:
        """As ``Client.attach``, to be opened with ``with``."""

        async def made() -> Attachment:  # it belongs to the loop that it is made on
            return self._client.attach(
                session_id, attach_id=attach_id, timeout_s=timeout_s, on_interrupt=on_interrupt
            )

        return BlockingAttachment(self._thread.run(made()), self._thread)

    def close(self) -> None:
        """Give up the connection, every call that still uses it, and the thread."""
        if self._thread.is_alive:
            try:
                self._thread.run(self._client.aclose())
            finally:
                self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _close(outputs: Any) -> None:
    """One whose wait was given up runs until it has heard of that."""
    while outputs.ag_running:  # noqa: ASYNC110  # nothing tells when it has
        await asyncio.sleep(0)
    await outputs.aclose()


class BlockingStream:
    """What ``Stream`` is, with methods that wait. One thread may send while another reads."""

    def __init__(self, stream: Stream, thread: LoopThread) -> None:
        self._stream = stream
        self._thread = thread

    def send(
        self,
        node_id: str,
        value: Sendable,
        *,
        sequence: int | None = None,
        timestamp_ms: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        """As ``Stream.send``; where ``timeout_s`` passes without room, the stream has ended."""
        sending = self._stream.send(node_id, value, sequence=sequence, timestamp_ms=timestamp_ms)
        self._thread.run(sending, timeout_s)

    def send_together(
        self,
        values: Mapping[str, Sendable],
        *,
        sequence: int | None = None,
        timestamp_ms: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        """As ``Stream.send_together``, and ``send`` where ``timeout_s`` passes without room."""
        sending = self._stream.send_together(values, sequence=sequence, timestamp_ms=timestamp_ms)
        self._thread.run(sending, timeout_s)

    def outputs(self, *, timeout_s: float | None = None) -> Iterator[Output]:
        """As ``Stream.outputs``; each may be ``timeout_s`` in coming."""
        outputs = self._stream.outputs()
        try:
            while (output := self._thread.run(following(outputs), timeout_s)) is not None:
                yield output
        finally:
            # On a closed client they have ended; on its own thread asyncio ends them.
            with contextlib.suppress(SessionError):
                self._thread.run(_close(outputs))

    def interrupt(
        self, node_id: str | None = None, *, timeout_s: float | None = None
    ) -> Interruption:
        """As ``Stream.interrupt``."""
        return self._thread.run(self._stream.interrupt(node_id), timeout_s)

    def close(self) -> None:
        """As ``Stream.close``: no more inputs."""
        self._thread.run(self._stream.close())

    def cancel(self) -> None:
        """As ``Stream.cancel``: stop at once."""
        self._thread.run(self._stream.cancel())

    @property
    def session_id(self) -> str:
        """The service's ID of the session."""
        return self._stream.session_id

    @property
    def metrics(self) -> StreamReport | None:
        """The last that the service told while the stream ran."""
        return self._stream.metrics

    @property
    def final_metrics(self) -> ExecutionReport | None:
        """What was measured in all; set by the end of ``outputs``."""
        return self._stream.final_metrics

    @property
    def reason(self) -> str | None:
        """Why the stream has ended; set by the end of ``outputs``."""
        return self._stream.reason

    def __enter__(self) -> Self:
        self._thread.run(self._stream.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(SessionClosedError):  # the client is closed: all has ended
            self._thread.run(self._stream.__aexit__())
