"""The gRPC server: from binding its address to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.manifest import Capacity, Settings
from penstock.nodes import Catalogue
from penstock.service.address import (
    Address,
    check_is_safe,
    clear_socket_path,
    parse_address,
    refused,
)
from penstock.service.admission import Admission
from penstock.service.beneath import say_how_files_are_found
from penstock.service.control import ControlServicer
from penstock.service.execution import ExecutionServicer
from penstock.service.fitting import allow_all_files, fitted, say_what_was_lowered
from penstock.service.gate import Gate
from penstock.service.health import HealthServicer
from penstock.service.observing import NOBODY, CallObserving, Harmless
from penstock.service.options import compression, server_options
from penstock.service.planning import PlanningServicer
from penstock.service.reflection import enable_reflection
from penstock.service.requests import refusing
from penstock.service.streaming import StreamingServicer
from penstock.service.tls import Certificate
from penstock.session.observing import Observer
from penstock.wire.methods import (
    ATTACH,
    CHECK_HEALTH,
    EXECUTE_PIPELINE,
    GET_VERSION,
    PATHS,
    PLAN_PIPELINE,
    SERVED,
    STREAM_PIPELINE,
    WATCH_HEALTH,
    Method,
)
from penstock.wire.parsing import parsing

STOP_S = 2.0
"""How long calls may take to tell their clients that the service stops."""


async def serve(
    settings: Settings,
    bind: str | None,
    catalogue: Catalogue,
    announce: Callable[[str], None],
    observer: Observer = NOBODY,
    *,
    insecure: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; then let sessions finish for a while, and return.

    A second signal ends those that are left at once. ``announce`` gets the line ``listening on
    ADDRESS`` once clients can connect. Raises ``ConfigurationError`` for an address that can't
    be bound, or that another service has, for limits that this machine can't keep, and, unless
    it is to be ``insecure``, for an address that others can reach without encryption.
    """
    wished, settings = settings.limits, fitted(settings, Capacity.here())
    say_how_files_are_found(settings.service.files)
    LAUNCHER.warm_up()
    allow_all_files()  # the zygote has those of who called us: nodes begin with as many
    try:
        with _stop_signals() as (stop, hurry):
            address = parse_address(bind or settings.service.bind)
            check_is_safe(address, encrypted=insecure or settings.service.tls is not None)
            async with _serving(settings, address, catalogue, observer) as service:
                announce(f"listening on {service.address}")
                say_what_was_lowered(wished, settings.limits)
                await stop.wait()
                await _drain(service.admission, settings.service.drain_secs, hurry)
    finally:
        await asyncio.to_thread(LAUNCHER.close)


@contextlib.asynccontextmanager
async def running(
    settings: Settings, bind: str, catalogue: Catalogue, observer: Observer = NOBODY
) -> AsyncIterator[str]:
    """A server on this event loop, as the address that clients connect to.

    At the end of the block its sessions are ended at once.
    """
    async with _serving(settings, parse_address(bind), catalogue, observer) as service:
        yield service.address


@dataclass(frozen=True, slots=True)
class _Service:
    address: str
    admission: Admission


@contextlib.asynccontextmanager
async def _serving(
    settings: Settings, address: Address, catalogue: Catalogue, observer: Observer
) -> AsyncIterator[_Service]:
    observer = Harmless(observer)
    admission = Admission(settings, catalogue, observer)
    tls = settings.service.tls
    credentials = None if tls is None else Certificate(tls).credentials
    async with observer.watching(admission.view):  # to the end of the last session
        server = grpc.aio.server(
            interceptors=[CallObserving(observer, PATHS), Gate(settings.service)],
            options=server_options(settings),
            maximum_concurrent_rpcs=settings.service.connections.max_calls,
            compression=compression(settings),
        )
        server.add_generic_rpc_handlers(tuple(_handlers(admission)))
        if settings.service.reflection:
            enable_reflection(server, SERVED)
        port = _bind(server, address, credentials)
        await server.start()
        admission.hosts.refill()
        try:
            async with admission.readiness.watching():
                yield _Service(address.with_port(port), admission)
        finally:
            admission.readiness.board.close()
            refusing = asyncio.create_task(server.stop(STOP_S))
            await admission.stop()
            await refusing
            admission.hosts.close()
            if address.socket_path is not None:
                address.socket_path.unlink(missing_ok=True)


def _bind(
    server: grpc.aio.Server, address: Address, credentials: grpc.ServerCredentials | None
) -> int:


def _bind(
    server: grpc.aio.Server, address: Address, credentials: grpc.ServerCredentials | None
) -> int:
    if address.socket_path is not None:
        clear_socket_path(address.socket_path)
    try:
        if credentials is not None:
            return server.add_secure_port(address.text, credentials)
        return server.add_insecure_port(address.text)
    except RuntimeError as exc:
        raise refused(address.text, "can't be bound; is another service there?") from exc


def _handlers(admission: Admission) -> Iterator[grpc.GenericRpcHandler]:
    execution = ExecutionServicer(admission)
    streaming = StreamingServicer(admission)
    health = HealthServicer(admission.readiness.board, admission.may_see)
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
    replies = grpc.unary_stream_rpc_method_handler
    for method, make, behaviour in (
        (EXECUTE_PIPELINE, unary, execution.execute),
        (GET_VERSION, unary, execution.version),
        (STREAM_PIPELINE, stream, streaming.stream),
        (ATTACH, stream, ControlServicer(admission).attach),
        (PLAN_PIPELINE, unary, PlanningServicer(admission).plan),
        (CHECK_HEALTH, unary, health.check),
        (WATCH_HEALTH, replies, health.watch),
    ):
        yield _handler(method, make, behaviour)


def _handler(
    method: Method[Any, Any], make: Callable[..., Any], behaviour: Callable[..., Any]
) -> grpc.GenericRpcHandler:
    one_request = make is not grpc.stream_stream_rpc_method_handler
    handler = make(
        refusing(behaviour) if one_request else behaviour,
        request_deserializer=parsing(method.request),
        response_serializer=method.response.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(method.service, {method.name: handler})


async def _drain(admission: Admission, limit_s: float, hurry: asyncio.Event) -> None:
    """Until every session has finished, the time is up, or a second signal came."""
    draining = asyncio.create_task(admission.drain(limit_s))
    hurrying = asyncio.create_task(hurry.wait())
    try:
        await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
    finally:
        draining.cancel()
        hurrying.cancel()


@contextlib.contextmanager
def _stop_signals() -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Two events that SIGTERM and SIGINT set, one after the other."""
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)

    def heed() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in signals:
        loop.add_signal_handler(number, heed)
    try:
        yield stop, hurry
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
