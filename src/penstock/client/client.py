"""A client of the service, for asyncio."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import grpc

from penstock.client.attachment import Attachment
from penstock.client.duplex import DuplexCall
from penstock.client.limits import ResourceLimits, call_timeout
from penstock.client.options import ClientOptions
from penstock.client.outcomes import ExecutionOutcome, execution_error, execution_outcome
from penstock.client.plans import PipelinePlan, pipeline_plan
from penstock.client.stream import Stream
from penstock.client.transport import Connections, translated
from penstock.client.values import Sendable, write_values
from penstock.manifest import Manifest, parse_manifest
from penstock.manifest.front_door import Source
from penstock.session import Interruption, NodeProgress
from penstock.wire.control_frames import hello
from penstock.wire.errors import decode_error
from penstock.wire.manifests import encode_manifest
from penstock.wire.methods import (
    ATTACH,
    EXECUTE_PIPELINE,
    GET_VERSION,
    PLAN_PIPELINE,
    PROTOCOL,
    STREAM_PIPELINE,
    Method,
    RequestT,
    ResponseT,
)
from penstock.wire.parted import read_response, write_request
from penstock.wire.v1 import execution_pb2 as pb
from penstock.wire.v1 import penstock_pb2 as ours
from penstock.wire.v1 import streaming_pb2 as streaming


@dataclass(frozen=True, slots=True)
class ServiceVersion:
    """What a service is; ``message`` says why it isn't ``compatible``."""

    protocol: str
    runtime: str
    node_types: tuple[str, ...]
    compatible: bool
    message: str


class Client:
    """Talks to one service; ``target`` is ``HOST:PORT`` or ``unix:PATH``.

    Connects with the first call, and belongs to the event loop of that: on another one its calls
    raise ``SessionError``. For more calls at a time than a connection may have (``ClientOptions``)
    it has several. Every method raises ``ServiceError`` with what the service said, or with gRPC's
    status where it said nothing. Nothing is tried twice by itself. Raises ``InputError`` for a
    target without a port, and for ``options`` that would give the token away. Once it is closed,
    what is called raises ``SessionClosedError``.
    """

    def __init__(self, target: str, options: ClientOptions | None = None) -> None:
        self.target = target
        self.options = options or ClientOptions()
        self.options.check(target)
        self._connections = Connections(target, self.options)

    async def version(self) -> ServiceVersion:
        """Ask the service what it is."""
        with translated():
            answer = await self._unary(GET_VERSION)(pb.VersionRequest(client_version=PROTOCOL))
        info = answer.version_info
        return ServiceVersion(
            protocol=info.protocol_version,
            runtime=info.runtime_version,
            node_types=tuple(info.supported_node_types),
            compatible=answer.compatible,
            message=answer.compatibility_message,
        )

    async def execute(
        self,
        manifest: Source | Manifest,
        inputs: Mapping[str, Sendable],
        *,
        limits: ResourceLimits | None = None,
        timeout_s: float | None = None,
    ) -> ExecutionOutcome:
        """Run a manifest on one input for each source, to its end.

        After ``timeout_s`` seconds the service gives up and everything of it is gone. Raises
        ``ManifestError`` and ``InputError`` for what can't be sent in the first place, and an
        ``ExecutionFailedError``, with the ``outcome``, where a session failed.
        """
        limit_s = call_timeout(timeout_s)
        request = pb.ExecuteRequest(
            manifest=encode_manifest(parse_manifest(manifest)),
            client_version=PROTOCOL,
        )
        write_values(request.data_inputs, inputs, "inputs")
        if limits is not None:
            limits.write(request.resource_limits)
        with translated():
            response = await self._unary(EXECUTE_PIPELINE)(request, timeout=limit_s)
        if response.WhichOneof("outcome") != "result":
            raise execution_error(response)
        return execution_outcome(response.result)

    async def plan(self, manifest: Source | Manifest) -> PipelinePlan:
        """What a session of a manifest would start and cost there; nothing is started.

        Raises ``ManifestError`` for what is no manifest, and ``ServiceError`` with all that the
        service finds wrong with it.
        """
        request = ours.PlanRequest(
            manifest=encode_manifest(parse_manifest(manifest)), client_version=PROTOCOL
        )
        with translated():
            response = await self._unary(PLAN_PIPELINE)(request)
        if response.WhichOneof("outcome") != "plan":
            raise decode_error(response.error)
        return pipeline_plan(response.plan)

    def stream(
        self,
        manifest: Source | Manifest,
        *,
        inputs: Mapping[str, Sendable] | None = None,
        limits: ResourceLimits | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[NodeProgress], None] | None = None,
        on_interrupt: Callable[[Interruption], None] | None = None,
    ) -> Stream:
        """A stream through a manifest, to be opened with ``async with``.

        ``inputs`` are sent to their nodes before anything else, one to each, with the number 0:
        ``send`` without numbers begins there, too. ``on_progress`` is called as nodes initialise,
        ``on_interrupt`` when something was interrupted, by this client or by a node: who plays
        what came stops then. After ``timeout_s`` seconds the service ends it
        (``DEADLINE_EXCEEDED``). Raises ``ManifestError`` for what is no manifest, ``InputError``
        for what is no input or no time.
        """
        limit_s = call_timeout(timeout_s)
        init = streaming.StreamInit(
            manifest=encode_manifest(parse_manifest(manifest)), client_version=PROTOCOL
        )
        write_values(init.data_inputs, inputs or {}, "inputs")
        if limits is not None:
            limits.write(init.resource_limits)
        call = partial(
            self._duplex, STREAM_PIPELINE, write_request, read_response, timeout_s=limit_s
        )
        return Stream(call, init, on_progress, on_interrupt, self.attach)

    def attach(
        self,
        session_id: str,
        *,
        attach_id: str | None = None,
        timeout_s: float | None = None,
        on_interrupt: Callable[[Interruption], None] | None = None,
    ) -> Attachment:
        """Watch and change a session that runs, to be opened with ``async with``.

        ``session_id`` is what ``Stream.session_id`` says, of this client or of another one.
        Opening raises why a session has ended, as its attachments do; ``NOT_FOUND`` is one that
        there never was, that the token may not see, or that ended too long ago.
        ``on_interrupt`` is told of every interrupt. After ``timeout_s`` seconds the service ends
        the attachment (``DEADLINE_EXCEEDED``). Raises ``InputError`` for what is no time.
        """
        limit_s = call_timeout(timeout_s)
        write, read = ATTACH.request.SerializeToString, ATTACH.response.FromString
        call = partial(self._duplex, ATTACH, write, read, timeout_s=limit_s)
        return Attachment(call, hello(session_id, attach_id or uuid.uuid4().hex), on_interrupt)

    async def aclose(self) -> None:
        """Give up what is connected, and every call that still uses it, for good."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _unary(self, method: Method[RequestT, ResponseT]) -> Callable[..., Awaitable[ResponseT]]:
        def call(request: RequestT, **more: Any) -> Any:
            def begin(channel: grpc.aio.Channel) -> Any:
                write, read = method.request.SerializeToString, method.response.FromString
                multicallable: Any = channel.unary_unary(method.path, write, read)
                return multicallable(request, metadata=self.options.metadata, **more)

            return self._connections.call(begin)

        return call

    def _duplex(
        self,
        method: Method[Any, Any],
        write: Callable[[Any], bytes],
        read: Callable[[bytes], Any],
        *,
        timeout_s: float | None,
    ) -> DuplexCall:
        def begin(channel: grpc.aio.Channel) -> Any:
            multicallable: Any = channel.stream_stream(method.path, response_deserializer=read)
            return multicallable(timeout=timeout_s, metadata=self.options.metadata)

        return DuplexCall(self._connections.call(begin), write)
