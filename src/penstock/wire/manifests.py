"""``PipelineManifest`` and the manifest as it is written in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from penstock.errors import Fault, ManifestError
from penstock.manifest import (
    MAX_BYTES,
    Connection,
    Manifest,
    MultiprocessOptions,
    NodeSpec,
    parse_manifest,
    read_params,
)
from penstock.wire.v1 import execution_pb2 as pb

_OLDER = ("is_streaming", "host", "runtime_hint", "input_types", "output_types")


MOST_NODES = 1000
"""Nodes of a manifest that comes over the wire."""
MOST_CONNECTIONS = 4000
"""The same of its connections."""


def check_size(message: pb.PipelineManifest) -> None:
    """Raises ``ManifestError`` for more than ``MAX_BYTES``, or more of a part than above."""
    size = message.ByteSize()
    if size > MAX_BYTES:
        raise ManifestError([_too_much("", f"is larger than {MAX_BYTES} bytes", size)])
    nodes, connections = len(message.nodes), len(message.connections)
    if nodes > MOST_NODES:
        raise ManifestError([_too_much("nodes", f"has more than {MOST_NODES} nodes", nodes)])
    if connections > MOST_CONNECTIONS:
        what = f"has more than {MOST_CONNECTIONS} connections"
        raise ManifestError([_too_much("connections", what, connections)])


def _too_much(path: str, message: str, found: int) -> Fault:
    return Fault(path, message, found=str(found))


def decode_manifest(message: pb.PipelineManifest) -> Manifest:
    """The manifest in a message; raises ``ManifestError`` with every structural fault."""
    check_size(message)
    faults: list[Fault] = []
    data: dict[str, Any] = {
        "nodes": [_node(node, index, faults) for index, node in enumerate(message.nodes)],
        "connections": [_connection(connection) for connection in message.connections],
    }
    if message.version:
        data["version"] = message.version
    if message.HasField("metadata"):
        data["metadata"] = _metadata(message.metadata)
    try:
        manifest = parse_manifest(data)
    except ManifestError as exc:
        raise ManifestError([*faults, *exc.faults]) from exc
    if faults:
        raise ManifestError(faults)
    return manifest


def _node(message: pb.NodeManifest, index: int, faults: list[Fault]) -> dict[str, Any]:
    node: dict[str, Any] = {"id": message.id, "node_type": message.node_type}
    if message.params:
        try:
            node["params"] = read_params(message.params)
        except ManifestError as exc:
            faults.extend(_within(f"nodes[{index}].params", fault) for fault in exc.faults)
    for key in _OLDER:
        said = getattr(message, key)
        if said:
            node[key] = said if isinstance(said, bool | str | int) else list(said)
    if message.HasField("capabilities"):
        node["capabilities"] = True
    return node


def _within(path: str, fault: Fault) -> Fault:
    dot = "." if fault.path and not fault.path.startswith("[") else ""
    return replace(fault, path=f"{path}{dot}{fault.path}")


def _connection(message: pb.Connection) -> dict[str, Any]:
    return {name.name: value for name, value in message.ListFields()} | {
        "from": getattr(message, "from"),
        "to": message.to,
    }


def _metadata(message: pb.ManifestMetadata) -> dict[str, Any]:
    fields = {field.name: value for field, value in message.ListFields()}
    if "multiprocess" in fields:
        fields["multiprocess"] = _multiprocess(message.multiprocess)
    return fields


def _multiprocess(message: pb.MultiprocessConfig) -> dict[str, Any]:
    fields = {field.name: value for field, value in message.ListFields()}
    if message.executor_overrides:
        fields["executor_overrides"] = dict(message.executor_overrides)
    return fields


def encode_manifest(manifest: Manifest) -> pb.PipelineManifest:
    """The message for a manifest; unknown keys of its ``metadata`` have no place in it."""
    metadata = manifest.metadata
    return pb.PipelineManifest(
        version=manifest.version,
        metadata=pb.ManifestMetadata(
            name=metadata.name,
            description=metadata.description,
            created_at=metadata.created_at or "",
            multiprocess=_encode_multiprocess(metadata.multiprocess),
        ),
        nodes=[_encode_node(node) for node in manifest.nodes],
        connections=[_encode_connection(connection) for connection in manifest.connections],
    )


def _encode_multiprocess(options: MultiprocessOptions) -> pb.MultiprocessConfig | None:
    written = options.model_dump(exclude_none=True, mode="json")
    overrides = written.pop("executor_overrides", {})
    if not written and not overrides:
        return None
    return pb.MultiprocessConfig(executor_overrides=overrides, **written)


def _encode_node(node: NodeSpec) -> pb.NodeManifest:
    params = json.dumps(node.params, allow_nan=False, ensure_ascii=False) if node.params else ""
    return pb.NodeManifest(id=node.id, node_type=node.node_type, params=params)


def _encode_connection(connection: Connection) -> pb.Connection:
    return pb.Connection(**connection.model_dump(by_alias=True, exclude_none=True))
