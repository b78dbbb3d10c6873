"""What ``ExecutePipeline`` and ``GetVersion`` answer, and every type of error."""

from __future__ import annotations

import json
import os
from typing import Any

from ledger import shows
from wire_client import WireClient, chunk, init, kinds, pipeline, rest, text

from penstock.bridges import LaneState
from penstock.errors import PenstockError, ServiceError
from penstock.testing import ProcessTree
from penstock.wire.errors import encode_error
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution


async def executed(
    wire: WireClient, *types: str, said: pb.DataBuffer | None = None, **fields: Any
) -> execution.ExecuteResponse:
    manifest = pipeline(*types, **fields)
    inputs = {"n0": text("x") if said is None else said}
    request = execution.ExecuteRequest(manifest=manifest, data_inputs=inputs)
    return await wire.execute(request)  # type: ignore[no-any-return]  # gRPC's own type


@shows(
    "ExecuteRequest.manifest",
    "ExecuteRequest.data_inputs",
    "ExecuteResponse.result",
    "ExecutionResult.data_outputs",
    "ExecutionResult.metrics",
    "ExecutionResult.node_results",
    "ExecutionResult.status",
    "ExecutionStatus.EXECUTION_STATUS_SUCCESS",
    "NodeResult.node_id",
    "NodeResult.status",
    "NodeStatus.NODE_STATUS_SUCCESS",
)
async def a_pipeline_that_runs_to_its_end(wire: WireClient) -> None:
    result = (await executed(wire, "PassThrough", "EchoNode")).result
    assert result.data_outputs["n1"].text.text_data == b"x"
    assert result.status == pb.EXECUTION_STATUS_SUCCESS
    assert [(one.node_id, one.status) for one in result.node_results] == [
        ("n0", pb.NODE_STATUS_SUCCESS),
        ("n1", pb.NODE_STATUS_SUCCESS),
    ]
    assert result.metrics.wall_time_ms > 0


@shows(
    "ExecutionResult.outputs",
    "SinkOutput.node_id",
    "SinkOutput.sequence",
    "SinkOutput.part",
    "SinkOutput.buffer",
    "SinkOutput.timestamp_us",
)
async def a_sink_with_several_outputs(wire: WireClient) -> None:
    result = (await executed(wire, "flood_outputs", params={"times": 2})).result
    first, last = result.outputs
    assert [(one.node_id, one.sequence, one.part) for one in (first, last)] == [
        ("n0", 0, 0),
        ("n0", 0, 1),
    ]
    assert first.buffer.text.text_data == b"x"
    assert not last.HasField("buffer"), "it is in data_outputs"
    assert first.timestamp_us == 0, "an execution's inputs have no time"


@shows("ExecutionStatus.EXECUTION_STATUS_PARTIAL_SUCCESS", "NodeStatus.NODE_STATUS_SKIPPED")
async def a_pipeline_of_which_a_part_had_no_input(wire: WireClient) -> None:
    manifest = pipeline("PassThrough")
    manifest.nodes.add(id="side", node_type="PassThrough")
    request = execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")})
    result = (await wire.execute(request)).result
    assert result.status == pb.EXECUTION_STATUS_PARTIAL_SUCCESS
    assert result.node_results[1].status == pb.NODE_STATUS_SKIPPED


@shows(
    "ExecuteResponse.error",
    "ExecuteResponse.failed",
    "ExecutionStatus.EXECUTION_STATUS_FAILED",
    "NodeStatus.NODE_STATUS_FAILED",
    "NodeResult.error",
    "NodeResult.output_metadata",
    "ErrorResponse.error_type",
    "ErrorResponse.message",
    "ErrorResponse.failing_node_id",
    "ErrorResponse.context",
    "ErrorResponse.stack_trace",
    "ErrorType.ERROR_TYPE_NODE_EXECUTION",
)
async def a_node_that_raises(wire: WireClient) -> None:
    response = await executed(wire, "PassThrough", "raise_in_process")
    error = response.error
    assert error.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "n1"
    assert "can't digest" in error.message
    assert "Traceback" in error.stack_trace
    assert json.loads(error.context)["during"] == "process"
    assert response.failed.status == pb.EXECUTION_STATUS_FAILED
    result = response.failed.node_results[1]
    assert (result.status, result.error) == (pb.NODE_STATUS_FAILED, error)
    assert result.output_metadata == "", "nothing is known of outputs but the outputs"


@shows(
    "ExecutionStatus.EXECUTION_STATUS_UNSPECIFIED",
    "NodeStatus.NODE_STATUS_UNSPECIFIED",
    "ErrorType.ERROR_TYPE_UNSPECIFIED",
)
async def nothing_is_left_unsaid(wire: WireClient) -> None:
    for types in (("PassThrough",), ("raise_in_setup",), ("?",)):
        response = await executed(wire, *types)
        for told in (response.result, response.failed):
            assert (told.status != 0) == bool(told.node_results)
            assert all(one.status for one in told.node_results)
        assert not response.HasField("error") or response.error.error_type
    assert encode_error(PenstockError("?")).error_type == pb.ERROR_TYPE_INTERNAL


@shows("ErrorType.ERROR_TYPE_VALIDATION")
async def a_faulty_manifest(wire: WireClient) -> None:
    assert (await executed(wire, "?")).error.error_type == pb.ERROR_TYPE_VALIDATION


@shows("ErrorType.ERROR_TYPE_TYPE_VALIDATION")
async def a_malformed_value(wire: WireClient) -> None:
    error = (await executed(wire, "PassThrough", said=pb.DataBuffer())).error
    assert error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION


@shows("ErrorType.ERROR_TYPE_INTERNAL")
async def a_host_that_is_killed(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("hang_in_process")))
    while not (await call.read()).HasField("ready"):
        continue
    await call.write(chunk("x"))
    for host in ProcessTree(os.getpid()).named("penstock-host"):
        os.kill(host.pid, 9)
    *_, last = await rest(call)
    assert kinds([last]) == ["error"]
    assert last.error.error_type == pb.ERROR_TYPE_INTERNAL
    assert "host" in last.error.message


@shows("ErrorType.ERROR_TYPE_AUTHENTICATION")
async def what_a_client_may_not(_wire: WireClient) -> None:
    """Who may do what is the subject of its own tests; here is how it is told."""
    error = ServiceError("not allowed", error_type="AUTHENTICATION")
    assert encode_error(error).error_type == pb.ERROR_TYPE_AUTHENTICATION


@shows(
    "ExecutionMetrics.wall_time_ms",
    "ExecutionMetrics.cpu_time_ms",
    "ExecutionMetrics.memory_used_bytes",
    "ExecutionMetrics.node_metrics",
    "ExecutionMetrics.serialization_time_ms",
    "ExecutionMetrics.proto_to_runtime_ms",
    "ExecutionMetrics.runtime_to_proto_ms",
    "ExecutionMetrics.data_type_breakdown",
    "ExecutionMetrics.bridges",
    "NodeMetrics.execution_time_ms",
    "NodeMetrics.memory_bytes",
    "NodeMetrics.items_processed",
    "NodeMetrics.custom_metrics",
    "NodeMetrics.outputs",
    "NodeMetrics.cpu_time_ms",
    "NodeMetrics.executor",
    "NodeMetrics.pid",
    "NodeMetrics.reason",
    "NodeMetrics.unmatched",
    "NodeMetrics.filtered",
    "NodeMetrics.interrupted",
    "NodeMetrics.skipped",
    "NodeMetrics.withheld",
    "BridgeMetrics.source",
    "BridgeMetrics.target",
    "BridgeMetrics.strategy",
    "BridgeMetrics.state",
    "BridgeMetrics.messages_transferred",
    "BridgeMetrics.bytes_transferred",
    "BridgeMetrics.conversion_latency_us",
)
async def what_was_measured(wire: WireClient) -> None:
    metrics = (await executed(wire, "EchoNode", "PassThrough")).result.metrics
    assert 0 < metrics.wall_time_ms < 30_000
    assert metrics.cpu_time_ms > 0
    assert metrics.memory_used_bytes > 1 << 20
    assert metrics.serialization_time_ms >= metrics.proto_to_runtime_ms > 0
    assert metrics.runtime_to_proto_ms > 0
    assert dict(metrics.data_type_breakdown) == {"text": 1}
    node = metrics.node_metrics["n0"]
    assert (node.items_processed, node.outputs, node.executor) == (1, 1, "multiprocess")
    assert node.execution_time_ms > 0
    assert node.cpu_time_ms > 0
    assert node.memory_bytes > 1 << 20
    assert node.pid > 1
    assert node.reason == "explicit mapping (declaration)"
    assert node.custom_metrics == "", "nodes have none"
    left_out = (node.unmatched, node.filtered, node.interrupted, node.skipped, node.withheld)
    assert left_out == (0, 0, 0, 0, 0)
    wrong = (await executed(wire, "PassThrough", "AudioChunkerNode")).result.metrics
    assert wrong.node_metrics["n1"].filtered == 1
    bridges = {(one.source, one.target): one for one in metrics.bridges}
    bridge = bridges["multiprocess", "native"]
    assert bridge.strategy == "IPCToNative"
    assert bridge.state in {str(state) for state in LaneState}
    assert (bridge.messages_transferred, bridge.bytes_transferred) == (1, 1)
    assert bridge.conversion_latency_us < 1_000_000


@shows(
    "VersionRequest.client_version",
    "VersionResponse.version_info",
    "VersionResponse.compatible",
    "VersionResponse.compatibility_message",
    "VersionInfo.protocol_version",
    "VersionInfo.runtime_version",
    "VersionInfo.supported_node_types",
    "VersionInfo.supported_protocols",
    "VersionInfo.build_timestamp",
)
async def what_the_service_is(wire: WireClient) -> None:
    answer = await wire.version(execution.VersionRequest(client_version="v1"))
    assert (answer.compatible, answer.compatibility_message) == (True, "")
    info = answer.version_info
    assert info.protocol_version == "v1"
    assert info.runtime_version
    assert "EchoNode" in info.supported_node_types
    assert "remotemedia.v1.StreamingPipelineService" in info.supported_protocols
    assert info.build_timestamp == "", "it is not built but installed"
    other = await wire.version(execution.VersionRequest(client_version="v2"))
    assert not other.compatible
    assert "v2" in other.compatibility_message
