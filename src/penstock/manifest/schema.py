"""Manifest v1 as frozen models: what may be written, not yet whether it makes sense."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from penstock.data import ExecutorType
from penstock.errors import Fault
from penstock.manifest.faults import path_of, shown

VERSION = "v1"
_SPELLINGS = ("v1", "1", "1.0", "1.0.0")

DropPolicy = Literal["newest", "oldest"]
"""Which messages a full lane without backpressure keeps."""

ChannelCapacity = Annotated[int, Field(ge=1, le=10_000)]
Bytes = Annotated[int, Field(ge=1, lt=1 << 63)]
NodeMemory = Annotated[int, Field(ge=64 << 20, lt=1 << 63)]
"""Bytes of memory that a node's process may use: with less, Python and numpy don't start."""
OpenFiles = Annotated[int, Field(ge=64, le=1 << 20)]
"""Files that a node's process may have open, its lanes among them."""
Executor = Annotated[ExecutorType, Field(strict=False)]

OLDER_KEYS = {
    "capabilities": "this machine's processors are used as they are",
    "executor": "metadata.multiprocess.executor_overrides says where a node runs",
    "host": "every node runs on this machine",
    "input_types": "the node's own signature says what it accepts",
    "is_output_node": "nodes without outbound connections are the outputs",
    "is_streaming": "every node streams",
    "output_types": "the node's own signature says what it emits",
    "runtime_hint": "the executor registry says where a node runs",
}
"""Keys of older manifests, which are read, and why they have no effect here."""


def _version(value: object) -> str:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, str) and text in _SPELLINGS:
        return VERSION
    raise ValueError(f"must be 'v1' (or 1, 1.0, 1.0.0), got {shown(value)}")


def _node_id(text: str) -> str:
    if text.startswith("@"):
        raise ValueError("must not start with '@', which Penstock keeps for its own ends")
    if not text.isprintable():
        bad = next((char for char in text if unicodedata.category(char) == "Cc"), None)
        if bad is not None:
            raise ValueError(f"must not have control characters, got {bad!r}")
    return text


NodeId = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_node_id)]


class Document(BaseModel):
    """The base of every model here: frozen, strict, no keys but its own."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class MultiprocessDefaults(Document):
    """The fields of ``ManifestConfiguration`` as they are written; None: not written."""

    max_processes_per_session: Annotated[int, Field(ge=0)] | None = None
    channel_capacity: ChannelCapacity | None = None
    init_timeout_secs: Annotated[float, Field(gt=0, le=300)] | None = None
    python_executable: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    enable_backpressure: bool | None = None
    stall_timeout_secs: Annotated[float, Field(gt=0, le=3600)] | None = None
    drop_policy: DropPolicy | None = None
    max_message_bytes: Bytes | None = None
    verify: bool | None = None
    process_timeout_secs: Annotated[float, Field(gt=0, le=3600)] | None = None
    node_memory_bytes: NodeMemory | None = None
    open_files: OpenFiles | None = None


class MultiprocessOptions(MultiprocessDefaults):
    """``metadata.multiprocess``; a key of ``executor_overrides`` is a node ID or node type."""

    executor_overrides: dict[str, Executor] = Field(default_factory=dict)


class ManifestMetadata(Document):
    """Who the pipeline is; keys that aren't known are kept in ``model_extra``."""

    model_config = ConfigDict(extra="allow")

    name: str = ""
    description: str = ""
    created_at: str | None = None
    multiprocess: MultiprocessOptions = MultiprocessOptions()


class NodeSpec(Document):
    """A node as written; the fields after ``params`` are older manifests'."""

    id: NodeId
    node_type: Annotated[str, Field(min_length=1)]
    params: Annotated[
        dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)
    ] = Field(default_factory=dict)
    capabilities: Any = None
    executor: Any = None
    host: Any = None
    input_types: Any = None
    is_output_node: Any = None
    is_streaming: Any = None
    output_types: Any = None
    runtime_hint: Any = None


class Connection(Document):
    """``source`` (written ``from``) feeds ``target`` (``to``).

    The other fields hold for this connection instead of the session's; None: the session's.
    """

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    enable_backpressure: bool | None = None
    channel_capacity: ChannelCapacity | None = None
    drop_policy: DropPolicy | None = None


class Manifest(Document):
    """A pipeline as its author wrote it."""

    version: Annotated[Literal["v1"], BeforeValidator(_version)]
    metadata: ManifestMetadata = ManifestMetadata()
    nodes: Annotated[tuple[NodeSpec, ...], Field(strict=False)]
    connections: Annotated[tuple[Connection, ...], Field(strict=False)] = ()

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What was written and has no effect."""
        return without_effect(
            self.metadata, tuple(enumerate(self.nodes)), tuple(enumerate(self.connections))
        )


def without_effect(
    metadata: ManifestMetadata,
    nodes: tuple[tuple[int, NodeSpec], ...],
    connections: tuple[tuple[int, Connection], ...],
) -> tuple[Fault, ...]:
    """A warning for each key that asks for something and gets nothing."""
    return _older_keys(nodes) + _idle_policies(metadata.multiprocess, connections)


def _older_keys(nodes: tuple[tuple[int, NodeSpec], ...]) -> tuple[Fault, ...]:
    return tuple(
        Fault(path_of(("nodes", index, key)), f"has no effect: {OLDER_KEYS[key]}")
        for index, spec in nodes
        for key in sorted(spec.model_fields_set & OLDER_KEYS.keys())
        if getattr(spec, key)
    )


def _idle_policies(
    session: MultiprocessOptions, connections: tuple[tuple[int, Connection], ...]
) -> tuple[Fault, ...]:
    """What to drop, said where nothing is."""
    said = "has no effect: nothing is dropped without enable_backpressure: false"
    return tuple(
        Fault(path_of(("connections", index, "drop_policy")), said)
        for index, own in connections
        if own.drop_policy is not None
        if own.enable_backpressure
        or (own.enable_backpressure is None and session.enable_backpressure is not False)
    )
