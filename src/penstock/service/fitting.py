"""Limits that this machine can keep: what is admitted by them can run."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator

from penstock.errors import ConfigurationError, Fault
from penstock.manifest import Capacity, Limits, Settings
from penstock.session import Budget, smallest_cost

FILES_OF_A_SESSION = 32
"""Descriptors that the service has for a session with one source and one sink, with room."""
OWN_FILES = 128
"""What it has besides: gRPC's, its log, its zygote's, those of blank hosts."""
PROCESSES_OF_A_SESSION = 2
"""The supervisor and the host; processes of nodes have a limit of their own."""
_log = logging.getLogger(__name__)


def fitted(settings: Settings, capacity: Capacity) -> Settings:
    """The settings with limits that the machine has; a default that is too high is lowered.

    Raises ``ConfigurationError`` for one that the operator wrote, and where not one session
    could be admitted.
    """
    faults: list[Fault] = []
    lowered: dict[str, int] = {}
    for name, most, why in _bounds(settings.limits, capacity):
        wished = getattr(settings.limits, name)
        if wished is None or wished <= most:
            continue
        if most < 1:
            faults.append(Fault(f"limits.{name}", f"this machine has room for none ({why})"))
        elif name in settings.limits.model_fields_set:
            message = f"this machine has room for {most} ({why}), got {wished}"
            faults.append(Fault(f"limits.{name}", message, str(wished), f"at most {most}"))
        else:
            lowered[name] = min(most, lowered.get(name, most))
    limits = settings.limits.model_copy(update=lowered)
    shortage = Budget(limits, capacity).shortage(smallest_cost(hosted=True))
    if shortage is not None and not faults:
        faults.append(Fault("limits", f"not one session could be admitted: {shortage}"))
    if faults:
        raise ConfigurationError(faults)
    return settings.model_copy(update={"limits": limits})


def say_what_was_lowered(wished: Limits, limits: Limits) -> None:
    """Tell the operator of defaults that are too high here."""
    for name, value in limits.model_dump().items():
        if value != getattr(wished, name):
            _log.info("limits.%s is %d: more than that this machine can't keep", name, value)


def allow_all_files() -> None:
    """Have as many descriptors as this process may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bounds(limits: Limits, capacity: Capacity) -> Iterator[tuple[str, int, str]]:
    """Each limit, the most that it can be here, and why."""
    memory = f"{capacity.memory_bytes} bytes of memory"
    for name in ("max_shared_memory_bytes", "max_buffered_bytes", "max_node_memory_bytes"):
        yield name, capacity.memory_bytes, memory
    files = f"{capacity.open_files} open files (ulimit -n)"
    yield "max_open_files", capacity.open_files, files
    yield "max_sessions", (capacity.open_files - OWN_FILES) // FILES_OF_A_SESSION, files
    processes = f"{capacity.processes} processes (ulimit -u, pids.max)"
    yield "max_processes", capacity.processes // 2, processes
    left = capacity.processes - min(limits.max_processes, capacity.processes // 2)
    yield "max_sessions", left // PROCESSES_OF_A_SESSION, processes
