"""Manifests as messages, limits and versions: what is heeded, and what is only taken."""

from __future__ import annotations

import json
from typing import Any

from ledger import Case, fields_set, shows
from wire_client import WireClient, pipeline, text

from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution


async def executed(
    wire: WireClient, manifest: execution.PipelineManifest, **fields: Any
) -> execution.ExecuteResponse:
    request = execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")}, **fields)
    return await wire.execute(request)  # type: ignore[no-any-return]  # gRPC's own type


def runs(manifest: execution.PipelineManifest) -> Case:
    async def case(wire: WireClient) -> None:
        response = await executed(wire, manifest)
        assert response.result.data_outputs, response

    case.__module__ = __name__
    return case


def is_refused(manifest: execution.PipelineManifest, path: str) -> Case:
    async def case(wire: WireClient) -> None:
        error = (await executed(wire, manifest)).error
        assert error.error_type == pb.ERROR_TYPE_VALIDATION
        assert path in [fault["path"] for fault in json.loads(error.context)["faults"]], error

    case.__module__ = __name__
    return case


def altered(*types: str, **changes: Any) -> execution.PipelineManifest:
    """A chain whose first node is another in some fields."""
    manifest = pipeline(*types)
    manifest.nodes[0].MergeFrom(execution.NodeManifest(**changes))
    return manifest


CAPABLE = execution.CapabilityRequirements(
    gpu=execution.GpuRequirement(type="any", min_memory_gb=1, required=True),
    cpu=execution.CpuRequirement(cores=2, arch="x86_64"),
    memory_gb=1.5,
)
shows("NodeManifest.capabilities", *fields_set(CAPABLE))(
    runs(altered("PassThrough", capabilities=CAPABLE))
)
shows("NodeManifest.host")(runs(altered("PassThrough", host="gpu-1")))
shows("NodeManifest.is_streaming")(runs(altered("PassThrough", is_streaming=True)))
for hint in execution.RuntimeHint.keys():  # noqa: SIM118  # an enum's wrapper is no mapping
    shows(f"RuntimeHint.{hint}")(runs(altered("PassThrough", runtime_hint=hint)))
shows("NodeManifest.runtime_hint")(runs(altered("PassThrough", runtime_hint=2)))
for kind in pb.DataTypeHint.keys():  # noqa: SIM118  # the same
    shows(f"DataTypeHint.{kind}")(
        runs(altered("PassThrough", input_types=[kind], output_types=[kind]))
    )
shows("NodeManifest.input_types")(runs(altered("PassThrough", input_types=[5])))
shows("NodeManifest.output_types")(runs(altered("PassThrough", output_types=[5])))
shows("NodeManifest.id")(is_refused(altered("PassThrough", id="a b\0"), "nodes[0].id"))
shows("NodeManifest.node_type")(
    is_refused(altered("PassThrough", node_type="PassTrough"), "nodes[0].node_type")
)
shows("NodeManifest.params")(
    is_refused(
        altered("AudioChunkerNode", params='{"chunk_size": 0}'), "nodes[0].params.chunk_size"
    )
)

VERSIONED = pipeline("PassThrough")
VERSIONED.version = "v9"
shows("PipelineManifest.version")(is_refused(VERSIONED, "version"))
shows("PipelineManifest.nodes")(is_refused(execution.PipelineManifest(version="v1"), "nodes"))
NAMED = pipeline("PassThrough")
NAMED.metadata.name, NAMED.metadata.description, NAMED.metadata.created_at = "a", "b", "2026"
shows(
    "PipelineManifest.metadata", "ManifestMetadata.name", "ManifestMetadata.description",
    "ManifestMetadata.created_at",
)(runs(NAMED))  # fmt: skip


def _connected(**fields: Any) -> execution.PipelineManifest:
    manifest = pipeline("PassThrough", "PassThrough")
    manifest.connections[0].MergeFrom(execution.Connection(**fields))
    return manifest


shows("PipelineManifest.connections", "Connection.to")(
    is_refused(_connected(to="n7"), "connections[0].to")
)
shows("Connection.from")(is_refused(_connected(**{"from": "n7"}), "connections[0].from"))
shows("Connection.enable_backpressure")(runs(_connected(enable_backpressure=False)))
shows("Connection.channel_capacity")(
    is_refused(_connected(channel_capacity=0), "connections[0].channel_capacity")
)
shows("Connection.drop_policy")(
    is_refused(_connected(drop_policy="middle"), "connections[0].drop_policy")
)

REFUSED_OPTIONS: dict[str, Any] = {
    "max_processes_per_session": 0,
    "channel_capacity": 10_001,
    "init_timeout_secs": 301,
    "python_executable": "/bin/sh",
    "executor_overrides": {"n9": "native"},
    "stall_timeout_secs": 0.0,
    "drop_policy": "middle",
    "max_message_bytes": 0,
    "process_timeout_secs": 0.0,
    "node_memory_bytes": 1,
    "open_files": 1,
}
WITHIN = "metadata.multiprocess"
for option, wrong in REFUSED_OPTIONS.items():
    inner = ".n9" if option == "executor_overrides" else ""
    shows(f"MultiprocessConfig.{option}")(
        is_refused(pipeline("EchoNode", **{option: wrong}), f"{WITHIN}.{option}{inner}")
    )
shows("MultiprocessConfig.enable_backpressure")(
    runs(pipeline("EchoNode", enable_backpressure=False))
)
shows("MultiprocessConfig.verify")(runs(pipeline("EchoNode", verify=True)))
shows("ManifestMetadata.multiprocess")(runs(pipeline("EchoNode", channel_capacity=1)))


@shows("ResourceLimits.max_memory_bytes")
async def less_memory_than_it_needs(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_memory_bytes=1)
    error = (await executed(wire, pipeline("EchoNode"), resource_limits=limits)).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(error.context)["resource"] == "max_memory_bytes"


@shows("ResourceLimits.max_timeout_ms", "ExecuteRequest.resource_limits")
async def less_time_than_it_needs(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_timeout_ms=200)
    error = (await executed(wire, pipeline("hang_in_process"), resource_limits=limits)).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(error.context)["resource"] == "max_timeout_ms"


@shows("ResourceLimits.max_audio_samples", "ErrorType.ERROR_TYPE_RESOURCE_LIMIT")
async def more_samples_than_are_allowed(wire: WireClient) -> None:
    audio = pb.DataBuffer(audio=pb.AudioBuffer(samples=bytes(8), sample_rate=8000, channels=1))
    request = execution.ExecuteRequest(
        manifest=pipeline("PassThrough"),
        data_inputs={"n0": audio},
        resource_limits=pb.ResourceLimits(max_audio_samples=1),
    )
    error = (await wire.execute(request)).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(error.context)["resource"] == "max_audio_samples"


@shows("ExecuteRequest.client_version", "ErrorType.ERROR_TYPE_VERSION_MISMATCH")
async def a_client_of_another_version(wire: WireClient) -> None:
    error = (await executed(wire, pipeline("PassThrough"), client_version="v2")).error
    assert error.error_type == pb.ERROR_TYPE_VERSION_MISMATCH
