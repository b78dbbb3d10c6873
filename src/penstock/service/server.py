"""The gRPC server: from binding its address to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from penstock.executors.multiprocess.kernel import allow_files
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.manifest import Capacity, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service.address import (
    Address,
    check_can_be_bound,
    check_is_safe,
    parse_address,
)
from penstock.service.admission import Admission
from penstock.service.beneath import say_how_files_are_found
from penstock.service.callers import TokenFile
from penstock.service.coalescing import coalescing
from penstock.service.crowding import Crowd
from penstock.service.fitting import fitted, say_what_was_lowered
from penstock.service.gate import Gate
from penstock.service.handlers import handlers
from penstock.service.heap import keep_freed_memory, settle
from penstock.service.listening import listening_at
from penstock.service.observing import NOBODY, CallObserving, Harmless
from penstock.service.plans import registry_of
from penstock.service.rpc import Call, Server
from penstock.service.tls import Certificate
from penstock.service.unheeded import say_which_types_are_none
from penstock.session import Budget
from penstock.session.hosting import prewarm_orders, reserve_prewarmed
from penstock.session.observing import Observer
from penstock.wire.methods import PATHS

_log = logging.getLogger(__name__)
_FRAMING_BYTES = 64 << 10
"""What a message may have around its largest payload."""
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
    capacity = Capacity.here()
    wished, settings = settings, fitted(settings, capacity)
    say_how_files_are_found(settings.service.files)
    LAUNCHER.warm_up()
    keep_freed_memory()
    allow_files()  # all: the zygote has those of who called us: nodes begin with as many
    try:
        with _stop_signals() as (stop, hurry):
            address = parse_address(bind or settings.service.bind)
            _check_encryption(address, settings.service, insecure=insecure)
            async with _serving(settings, address, catalogue, observer) as service:
                settle()
                announce(f"listening on {service.address}")
                say_what_was_lowered(wished, settings, capacity)
                say_which_types_are_none(settings, catalogue)
                await stop.wait()
                await _drain(service.admission, settings.service.drain_secs, hurry)
    finally:
        await asyncio.to_thread(LAUNCHER.close)


def check(settings: Settings, catalogue: Catalogue, *, insecure: bool) -> None:
    """Raise ``ConfigurationError`` for what keeps a service from starting; nothing is started.

    That is an address, a certificate, tokens, rules that give nodes their executors, or nodes that
    can't be prewarmed. An address that somebody has now is none: it may be the service that runs.
    What a service would warn of is logged as it would.
    """
    service = settings.service
    address = parse_address(service.bind)
    _check_encryption(address, service, insecure=insecure)
    check_can_be_bound(address)
    if service.tls is not None:
        Certificate(service.tls)
    if service.tokens is not None:
        TokenFile(service.tokens)
    registry_of(settings)
    reserve_prewarmed(Budget(settings.limits), prewarm_orders(settings, catalogue))
    say_how_files_are_found(service.files)
    say_which_types_are_none(settings, catalogue)


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
    certificate = None if tls is None else Certificate(tls)
    connections = settings.service.connections
    observing, gate = CallObserving(observer, PATHS), Gate(settings.service)

    def refuse(call: Call) -> None:
        gate.refuse(call)
        observing.refused(call)

    server = Server(
        handlers(admission),
        [observing, gate],
        connections=connections,
        most_bytes=settings.limits.max_message_bytes + _FRAMING_BYTES,
        compression=settings.service.compression,
        make_room=Crowd(connections.max_connections).make_room,
        refuse=refuse,
    )
    async with observer.watching(admission.view):  # to the end of the last session
        sockets, clients = listening_at(address)
        server.listen(sockets, None if certificate is None else certificate.current)
        admission.hosts.refill()
        try:
            with coalescing(admission.active_streams):
                async with admission.readiness.watching():
                    yield _Service(clients.text, admission)
        finally:
            admission.readiness.board.close()
            refusing = asyncio.create_task(server.stop(STOP_S))
            await admission.stop()
            await refusing
            await observing.all_ended(STOP_S)
            admission.hosts.close()
            admission.plans.close()
            if address.socket_path is not None:
                address.socket_path.unlink(missing_ok=True)


def _check_encryption(address: Address, settings: ServiceSettings, *, insecure: bool) -> None:
    encrypted = settings.tls is not None
    check_is_safe(address, encrypted=encrypted or insecure)
    if not (encrypted or address.is_local):
        _log.warning("whoever is on the way to %s can read its tokens and data", address.text)


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
    heeded = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def heed() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in heeded:
        loop.add_signal_handler(number, heed)
    try:
        yield stop, hurry
    finally:
        for number, before in heeded.items():
            loop.remove_signal_handler(number)
            signal.signal(number, before or signal.SIG_DFL)
