"""A session's configuration: the manifest's word, then the operator's, then the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penstock.data import ExecutorType
from penstock.errors import Fault, ManifestError
from penstock.manifest.faults import Closest, path_of
from penstock.manifest.interpreters import (
    OWN,
    UnknownInterpreterError,
    named_interpreter,
    trusted_interpreter,
)
from penstock.manifest.limits import DEFAULT_BUFFERED_BYTES, Limits
from penstock.manifest.parsing import Draft
from penstock.manifest.schema import (
    DropPolicy,
    Manifest,
    ManifestMetadata,
    MultiprocessDefaults,
    MultiprocessOptions,
)
from penstock.manifest.settings import Settings

DEFAULT_MAX_PROCESSES = 10
DEFAULT_MAX_MESSAGE_BYTES = 16 << 20
_AT = ("metadata", "multiprocess")


@dataclass(frozen=True, slots=True)
class ManifestConfiguration:
    """What holds for one session, with every field decided.

    ``channel_capacity`` counts messages, times are seconds; ``drop_policy`` is what a full
    lane without backpressure keeps; ``verify`` adds a checksum to every payload; without
    ``process_timeout_secs`` a call into a node may take for ever. A key of
    ``executor_overrides`` is a node ID or, failing that, a node type of the manifest.
    ``buffered_bytes`` is what the session may hold in queues outside shared memory, for taps too;
    ``node_memory_bytes`` and ``open_files`` are what each node's process may have (None: no
    limit of ours).
    """

    python_executable: Path
    max_processes_per_session: int = DEFAULT_MAX_PROCESSES
    channel_capacity: int = 100
    init_timeout_secs: float = 30.0
    enable_backpressure: bool = True
    executor_overrides: Mapping[str, ExecutorType] = field(
        default_factory=lambda: MappingProxyType({})
    )
    stall_timeout_secs: float = 10.0
    drop_policy: DropPolicy = "newest"
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    verify: bool = False
    process_timeout_secs: float | None = None
    buffered_bytes: int = DEFAULT_BUFFERED_BYTES
    node_memory_bytes: int | None = None
    open_files: int | None = None


_PLAIN_FIELDS = (
    "channel_capacity",
    "init_timeout_secs",
    "enable_backpressure",
    "stall_timeout_secs",
    "drop_policy",
    "verify",
    "process_timeout_secs",
)


def resolve_configuration(
    manifest: Manifest, settings: Settings, *, trusted: bool
) -> ManifestConfiguration:
    """The configuration of a session that runs ``manifest``.

    With ``trusted`` the manifest may name any interpreter by path; without, only one of the
    operator's table. Raises ``ManifestError`` with every fault.
    """
    configuration, faults = configure(Draft.of(manifest), settings, trusted=trusted)
    if faults:
        raise ManifestError(faults)
    return configuration


def configure(
    draft: Draft, settings: Settings, *, trusted: bool
) -> tuple[ManifestConfiguration, list[Fault]]:
    """The configuration, and what is wrong with it; a wrong field has its default."""
    written = draft.metadata.multiprocess
    faults: list[Fault] = []
    python = _interpreter(written, settings, faults, trusted=trusted)
    fields: dict[str, Any] = {
        name: value
        for name in _PLAIN_FIELDS
        if (value := _first(getattr(written, name), getattr(settings.multiprocess, name)))
        is not None
    }
    configuration = ManifestConfiguration(
        python_executable=python,
        max_processes_per_session=_max_processes(written, settings, faults),
        executor_overrides=_overrides(draft, faults),
        max_message_bytes=_max_message_bytes(written, settings, faults),
        buffered_bytes=_buffered_bytes(settings.limits),
        node_memory_bytes=_node_limit("node_memory_bytes", written, settings, faults),
        open_files=_node_limit("open_files", written, settings, faults),
        **fields,
    )
    return configuration, faults


def filled_in(settings: Settings) -> Settings:
    """The settings, with what holds where neither they nor a manifest say something.

    What was written is marked as such, and what is filled in is not.
    """
    nobody = Draft(manifest=None, metadata=ManifestMetadata(), nodes=(), connections=())
    configuration, _ = configure(nobody, settings, trusted=False)
    written = settings.multiprocess.model_dump(exclude_unset=True)
    known = {name: getattr(configuration, name) for name in MultiprocessDefaults.model_fields}
    known["python_executable"] = OWN
    values = {name: written.get(name, value) for name, value in known.items()}
    multiprocess = MultiprocessDefaults.model_construct(set(written), **values)
    return settings.model_copy(update={"multiprocess": multiprocess})


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _max_processes(written: MultiprocessOptions, settings: Settings, faults: list[Fault]) -> int:
    """A written null asks for no limit of the session's own: the service's holds."""
    name, limit = "max_processes_per_session", settings.limits.max_processes
    wished = written.max_processes_per_session
    if wished is not None:
        return _within(wished, limit, name, faults)
    if name in written.model_fields_set:
        return limit
    configured = settings.multiprocess.max_processes_per_session
    return min(DEFAULT_MAX_PROCESSES if configured is None else configured, limit)


def _max_message_bytes(
    written: MultiprocessOptions, settings: Settings, faults: list[Fault]
) -> int:
    limit = settings.limits.max_message_bytes
    if written.max_message_bytes is not None:
        return _within(written.max_message_bytes, limit, "max_message_bytes", faults)
    return min(settings.multiprocess.max_message_bytes or DEFAULT_MAX_MESSAGE_BYTES, limit)


def _buffered_bytes(limits: Limits) -> int:
    return min(limits.max_buffered_bytes_per_session, limits.max_buffered_bytes)


def _node_limit(
    name: str, written: MultiprocessOptions, settings: Settings, faults: list[Fault]
) -> int | None:
    """The manifest's wish within the operator's limit; else the operator's own, or that limit."""
    limit: int | None = getattr(settings.limits, f"max_{name}")
    wished: int | None = getattr(written, name)
    if wished is not None:
        return wished if limit is None else _within(wished, limit, name, faults)
    configured: int | None = getattr(settings.multiprocess, name)
    return limit if configured is None else configured


def _within(wished: int, limit: int, name: str, faults: list[Fault]) -> int:
    if wished <= limit:
        return wished
    message = f"must be at most the service's limit of {limit}, got {wished}"
    faults.append(Fault(path_of((*_AT, name)), message, str(wished), f"at most {limit}"))
    return limit


def _interpreter(
    written: MultiprocessOptions, settings: Settings, faults: list[Fault], *, trusted: bool
) -> Path:
    table = settings.interpreters
    wished = written.python_executable
    location: tuple[str, ...] = (*_AT, "python_executable")
    resolve = trusted_interpreter if trusted else named_interpreter
    if wished is None:
        wished = settings.multiprocess.python_executable or OWN
        location, resolve = ("multiprocess", "python_executable"), trusted_interpreter
    try:
        return resolve(wished, table)
    except UnknownInterpreterError as exc:
        faults.append(Fault(path_of(location), str(exc), found=wished, expected="an interpreter"))
        return named_interpreter(OWN, {})


def _overrides(draft: Draft, faults: list[Fault]) -> Mapping[str, ExecutorType]:
    overrides = draft.metadata.multiprocess.executor_overrides
    if not overrides:
        return MappingProxyType({})
    known = {spec.id for _, spec in draft.nodes} | {spec.node_type for _, spec in draft.nodes}
    wrong = [key for key in overrides if key not in known | draft.unread]
    if draft.complete:
        closest = Closest()
        for key in wrong:
            path = path_of((*_AT, "executor_overrides", key))
            faults.append(
                Fault(
                    path,
                    "no node has this ID or this type",
                    found=key,
                    expected="a node ID or a node type of this manifest",
                    suggestion=closest(key, known),
                )
            )
    return MappingProxyType({k: v for k, v in overrides.items() if k not in wrong})
