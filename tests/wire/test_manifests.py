"""Manifests cross the wire unchanged, and faulty ones come back with every path."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.manifest import ManifestError, parse_manifest
from penstock.wire.manifests import decode_manifest, encode_manifest
from penstock.wire.v1 import execution_pb2 as pb

FULL: dict[str, Any] = {
    "version": "1.0.0",
    "metadata": {
        "name": "demo",
        "description": "grüße",
        "created_at": "2025-01-01T00:00:00Z",
        "multiprocess": {
            "max_processes_per_session": 3,
            "channel_capacity": 7,
            "init_timeout_secs": 1.5,
            "python_executable": "python",
            "enable_backpressure": False,
            "executor_overrides": {"a": "native"},
            "stall_timeout_secs": 2.0,
            "drop_policy": "oldest",
            "max_message_bytes": 4096,
            "verify": True,
            "process_timeout_secs": 0.5,
        },
    },
    "nodes": [
        {"id": "a", "node_type": "AudioChunkerNode", "params": {"chunkSize": 160, "x": [None]}},
        {"id": "b", "node_type": "PassThrough"},
    ],
    "connections": [
        {
            "from": "a", "to": "b", "enable_backpressure": True, "channel_capacity": 9,
            "drop_policy": "newest",
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "written",
    [FULL, {"version": "v1", "nodes": [{"id": "a", "node_type": "EchoNode"}]}],
    ids=["full", "least"],
)
def test_a_manifest_crosses_unchanged(written: dict[str, Any]) -> None:
    manifest = parse_manifest(written)
    message = pb.PipelineManifest.FromString(encode_manifest(manifest).SerializeToString())
    back = decode_manifest(message)
    assert back == manifest


def test_what_an_older_client_sets_is_read_with_a_warning() -> None:
    message = pb.PipelineManifest(
        version="1",
        nodes=[
            pb.NodeManifest(
                id="a",
                node_type="EchoNode",
                is_streaming=True,
                host="gpu-1",
                runtime_hint=pb.RUNTIME_HINT_CPYTHON,
                input_types=[1, 5],
                capabilities=pb.CapabilityRequirements(memory_gb=2),
            )
        ],
    )
    warned = {warning.path for warning in decode_manifest(message).warnings}
    assert warned == {
        f"nodes[0].{key}"
        for key in ("capabilities", "host", "input_types", "is_streaming", "runtime_hint")
    }


def test_every_fault_comes_back_at_once() -> None:
    message = pb.PipelineManifest(
        version="v9",
        nodes=[
            pb.NodeManifest(id="a", node_type="EchoNode", params='{"a": {"b": Infinity}}'),
            pb.NodeManifest(id="", node_type="EchoNode"),
            pb.NodeManifest(id="c", node_type="EchoNode", params="[]"),
        ],
    )
    with pytest.raises(ManifestError) as caught:
        decode_manifest(message)
    paths = [fault.path for fault in caught.value.faults]
    assert sorted(paths) == ["nodes[0].params", "nodes[1].id", "nodes[2].params", "version"]


def test_an_empty_message_is_no_manifest() -> None:
    with pytest.raises(ManifestError):
        decode_manifest(pb.PipelineManifest())
