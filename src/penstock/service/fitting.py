"""Limits that this machine can keep: what is admitted by them can run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock.errors import ConfigurationError, Fault
from penstock.manifest import Capacity, ConnectionSettings, Limits, Settings
from penstock.session import Budget, smallest_cost
from penstock.session.cost import FILES_OF_A_SESSION

OWN_FILES = 128
"""What it has besides: its sockets, its log, its zygote's, those of blank hosts."""
CONNECTIONS_OF_A_SESSION = 4
"""What is kept for its clients where nothing is written of sessions and connections."""
PROCESSES_OF_A_SESSION = 2
"""The supervisor and the host; processes of nodes have a limit of their own."""
_log = logging.getLogger(__name__)


def fitted(settings: Settings, capacity: Capacity) -> Settings:
    """The settings with limits that the machine has; a default that is too high is lowered.

    Sessions and connections share the descriptors: what is written of one is kept free for it.
    Raises ``ConfigurationError`` for one that the operator wrote, and where not one session
    could be admitted.
    """
    faults: list[Fault] = []
    lowered: dict[str, int] = {}
    connections = settings.service.connections
    for name, most, why in _bounds(settings.limits, connections, capacity):
        wished = getattr(settings.limits, name)
        if wished is None or wished <= most:
            continue
        if most < 1:
            faults.append(Fault(f"limits.{name}", f"this machine has room for none ({why})"))
        elif name in settings.limits.model_fields_set:
            faults.append(_too_high(f"limits.{name}", wished, most, why))
        else:
            lowered[name] = min(most, lowered.get(name, most))
    own, most = settings.multiprocess.open_files, capacity.open_files
    if own is not None and own > most:
        faults.append(_too_high("multiprocess.open_files", own, most, _open_files(capacity)))
    limits = settings.limits.model_copy(update=lowered)
    shortage = Budget(limits, capacity).shortage(smallest_cost(hosted=True))
    if shortage is not None and not faults:
        faults.append(Fault("limits", f"not one session could be admitted: {shortage}"))
    room = _files(capacity) - FILES_OF_A_SESSION * limits.max_sessions
    if not faults and connections.max_connections > room:
        if "max_connections" in connections.model_fields_set:
            faults.append(_too_many(connections, limits, room, capacity))
        connections = connections.model_copy(update={"max_connections": room})
    if faults:
        raise ConfigurationError(faults)
    service = settings.service.model_copy(update={"connections": connections})
    return settings.model_copy(update={"limits": limits, "service": service})


@dataclass(frozen=True, slots=True)
class Lowered:
    """A default that was too high here; ``why`` is what the machine has."""

    name: str
    wished: int
    value: int
    why: str

    def __str__(self) -> str:
        default = f"from {self.wished}, its default, to {self.value}"
        return f"{self.name} is lowered {default}: this machine has {self.why}"


def lowered_in(wished: Settings, settings: Settings, capacity: Capacity) -> Iterator[Lowered]:
    """What ``fitted`` has made lower of the settings that were wished."""
    before, limits = wished.limits, settings.limits
    reasons: dict[str, tuple[int, str]] = {}
    for name, most, why in _bounds(before, wished.service.connections, capacity):
        reasons[name] = min(reasons.get(name, (most, why)), (most, why))
    for name, (_, why) in reasons.items():
        was, value = getattr(before, name), getattr(limits, name)
        if value != was:
            yield Lowered(f"limits.{name}", was, value, why)
    most, least = (one.service.connections.max_connections for one in (wished, settings))
    if least != most:
        name = "service.connections.max_connections"
        yield Lowered(name, most, least, f"{_open_files(capacity)}, {_taken(limits)}")


def say_what_was_lowered(wished: Settings, settings: Settings, capacity: Capacity) -> None:
    """Tell the operator of defaults that are too high here."""
    for one in lowered_in(wished, settings, capacity):
        _log.info("%s", one)


def for_sessions(settings: Settings) -> Capacity:
    """What this machine has for the sessions of a service, beside its connections."""
    here, connections = Capacity.here(), settings.service.connections.max_connections
    kept = FILES_OF_A_SESSION * settings.limits.max_sessions
    return replace(here, open_files=max(_files(here) - connections, kept))


def _files(capacity: Capacity) -> int:
    """The descriptors that there are for sessions and connections."""
    return capacity.open_files - OWN_FILES


def _open_files(capacity: Capacity) -> str:
    return f"{capacity.open_files} open files (ulimit -n)"


def _taken(limits: Limits) -> str:
    return f"of which {limits.max_sessions} sessions have {FILES_OF_A_SESSION} each"


def _too_high(path: str, wished: int, most: int, why: str) -> Fault:
    message = f"this machine has room for {most} ({why}), got {wished}"
    return Fault(path, message, str(wished), f"at most {most}")


def _too_many(
    connections: ConnectionSettings, limits: Limits, room: int, capacity: Capacity
) -> Fault:
    wished = connections.max_connections
    return Fault(
        "service.connections.max_connections",
        f"this machine has room for {room} beside {limits.max_sessions} sessions "
        f"({capacity.open_files} open files, ulimit -n), got {wished}",
        str(wished),
        f"at most {room}",
    )


def _most_sessions(limits: Limits, connections: ConnectionSettings, capacity: Capacity) -> int:
    """By descriptors, one of them at least for the connection of its client."""
    files = _files(capacity)
    most = files // (FILES_OF_A_SESSION + 1)
    if "max_sessions" in limits.model_fields_set:
        return most
    if "max_connections" not in connections.model_fields_set:
        return min(most, max(files // (FILES_OF_A_SESSION + CONNECTIONS_OF_A_SESSION), 1))
    return min(most, max((files - connections.max_connections) // FILES_OF_A_SESSION, 1))


def _bounds(
    limits: Limits, connections: ConnectionSettings, capacity: Capacity
) -> Iterator[tuple[str, int, str]]:
    """Each limit, the most that it can be here, and why."""
    memory = f"{capacity.memory_bytes} bytes of memory"
    for name in ("max_shared_memory_bytes", "max_buffered_bytes", "max_node_memory_bytes"):
        yield name, capacity.memory_bytes, memory
    files = _open_files(capacity)
    yield "max_open_files", capacity.open_files, files
    yield "max_sessions", _most_sessions(limits, connections, capacity), files
    processes = f"{capacity.processes} processes (ulimit -u, pids.max)"
    yield "max_processes", capacity.processes // 2, processes
    left = capacity.processes - min(limits.max_processes, capacity.processes // 2)
    yield "max_sessions", left // PROCESSES_OF_A_SESSION, processes
