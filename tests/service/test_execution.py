"""``ExecutePipeline`` and ``GetVersion`` on a real socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from wire_client import WireClient, pipeline, text

from penstock.nodes import Catalogue
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution


async def run(
    wire: WireClient, manifest: execution.PipelineManifest, said: Any = "hello", **fields: Any
) -> execution.ExecuteResponse:
    buffer = said if isinstance(said, pb.DataBuffer) else text(said)
    request = execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": buffer}, **fields)
    return await wire.execute(request)  # type: ignore[no-any-return]  # gRPC's own type


async def error(wire: WireClient, *args: Any, **kwargs: Any) -> pb.ErrorResponse:
    response = await run(wire, *args, **kwargs)
    assert response.WhichOneof("outcome") == "error", response
    return response.error


async def test_every_output_of_every_sink_comes_in_order(wire: WireClient) -> None:
    manifest = pipeline("flood_outputs", "PassThrough", params={"times": 3})
    manifest.nodes.add(id="side", node_type="PassThrough")
    manifest.connections.append(execution.Connection(**{"from": "n0", "to": "side"}))
    result = (await run(wire, manifest)).result
    for sink in ("n1", "side"):
        *earlier, last = (output for output in result.outputs if output.node_id == sink)
        buffers = [*(output.buffer for output in earlier), result.data_outputs[sink]]
        assert [buffer.text.text_data for buffer in buffers] == [b"hello"] * 3
        assert [output.part for output in (*earlier, last)] == [0, 1, 2]
        assert not last.HasField("buffer")
    assert result.data_outputs.keys() == {"n1", "side"}
    assert result.status == pb.EXECUTION_STATUS_SUCCESS
    assert {node.node_id: node.status for node in result.node_results} == dict.fromkeys(
        ("n0", "n1", "side"), pb.NODE_STATUS_SUCCESS
    )


async def test_metrics_are_those_of_this_run(wire: WireClient) -> None:
    metrics = (await run(wire, pipeline("EchoNode", "PassThrough"))).result.metrics
    assert metrics.wall_time_ms > 0
    assert metrics.serialization_time_ms == pytest.approx(
        metrics.proto_to_runtime_ms + metrics.runtime_to_proto_ms
    )
    assert dict(metrics.data_type_breakdown) == {"text": 1}
    echo, plain = metrics.node_metrics["n0"], metrics.node_metrics["n1"]
    assert (echo.executor, plain.executor) == ("multiprocess", "native")
    assert echo.items_processed == plain.items_processed == 1
    assert echo.pid not in (0, plain.pid)
    assert echo.reason == "explicit mapping (declaration)"
    crossed = {(bridge.source, bridge.target): bridge for bridge in metrics.bridges}
    assert crossed["multiprocess", "native"].bytes_transferred == len("hello")


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(pb.AUDIO_FORMAT_F32, "<f4"), (pb.AUDIO_FORMAT_I16, "<i2"), (pb.AUDIO_FORMAT_I32, "<i4")],
)
async def test_audio_keeps_its_sample_type_through_a_process(
    wire: WireClient, number: Any, dtype: str
) -> None:
    samples = np.arange(-40, 40).astype(dtype).tobytes()
    buffer = pb.DataBuffer(
        audio=pb.AudioBuffer(
            samples=samples, sample_rate=8_000, channels=2, format=number, num_samples=80,
            metadata_json=b"{}",
        ),
        metadata={"speaker": "anna"},
    )  # fmt: skip
    result = (await run(wire, pipeline("EchoNode"), buffer)).result
    assert result.data_outputs["n0"] == buffer


async def test_a_faulty_manifest_is_refused_with_every_path(wire: WireClient) -> None:
    manifest = pipeline("PassTrough", "AudioChunkerNode")
    manifest.nodes[1].params = '{"chunk_size": 0}'
    manifest.connections.append(execution.Connection(**{"from": "n1", "to": "n7"}))
    refused = await error(wire, manifest)
    assert refused.error_type == pb.ERROR_TYPE_VALIDATION
    faults = {fault["path"]: fault for fault in json.loads(refused.context)["faults"]}
    assert {"nodes[0].node_type", "nodes[1].params.chunk_size"} <= faults.keys()
    assert faults["nodes[0].node_type"]["suggestion"] == "PassThrough"
    assert any(path.startswith("connections[1]") for path in faults)


@pytest.mark.parametrize("params", ["{", '{"a": 1, "a": 2}', "[1]", '{"gain": NaN}', "[" * 50])
async def test_params_that_are_no_json_object_are_refused(wire: WireClient, params: str) -> None:
    manifest = pipeline("PassThrough")
    manifest.nodes[0].params = params
    refused = await error(wire, manifest)
    assert refused.error_type == pb.ERROR_TYPE_VALIDATION
    assert json.loads(refused.context)["faults"][0]["path"].startswith("nodes[0].params")


async def test_a_client_can_not_choose_the_interpreter_by_path(wire: WireClient) -> None:
    refused = await error(wire, pipeline("EchoNode", python_executable="/bin/sh"))
    assert refused.error_type == pb.ERROR_TYPE_VALIDATION
    assert "python_executable" in refused.message


async def test_an_input_for_an_inner_node_is_refused(wire: WireClient) -> None:
    request = execution.ExecuteRequest(
        manifest=pipeline("PassThrough", "PassThrough"), data_inputs={"n1": text("")}
    )
    refused = (await wire.execute(request)).error
    assert refused.error_type == pb.ERROR_TYPE_VALIDATION
    assert "'n1'" in refused.message


async def test_a_malformed_buffer_says_where(wire: WireClient) -> None:
    refused = await error(wire, pipeline("PassThrough"), pb.DataBuffer(audio=pb.AudioBuffer()))
    assert refused.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert refused.message.startswith("data_inputs['n0'].audio: channels")


async def test_a_node_that_raises_is_named_with_its_traceback(wire: WireClient) -> None:
    failed = await error(wire, pipeline("PassThrough", "raise_in_process"))
    assert failed.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert failed.failing_node_id == "n1"
    assert "can't digest input 1" in failed.stack_trace
    assert "penstock/service" not in failed.stack_trace
    facts = json.loads(failed.context)
    assert (facts["during"], facts["exception_type"]) == ("process", "ValueError")


async def test_a_node_whose_process_ends_is_named_with_its_exit_code(wire: WireClient) -> None:
    failed = await error(wire, pipeline("exit_in_process"))
    assert failed.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert failed.failing_node_id == "n0"
    facts = json.loads(failed.context)
    assert facts["exit_code"] == 3
    assert "giving up" in facts["stderr"]


async def test_a_node_that_is_never_ready_is_given_up(wire: WireClient) -> None:
    failed = await error(wire, pipeline("hang_in_setup", init_timeout_secs=0.3))
    assert failed.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert failed.failing_node_id == "n0"
    assert json.loads(failed.context)["limit_s"] == 0.3


async def test_what_each_node_did_is_told_beside_the_error(wire: WireClient) -> None:
    manifest = pipeline("PassThrough", "EchoNode", "raise_in_process", "EchoNode")
    request = execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")})
    response = await wire.execute(request)
    assert response.WhichOneof("outcome") == "error"
    assert response.failed.status == pb.EXECUTION_STATUS_FAILED
    assert {one.node_id: one.status for one in response.failed.node_results} == {
        "n0": pb.NODE_STATUS_SUCCESS,
        "n1": pb.NODE_STATUS_SUCCESS,
        "n2": pb.NODE_STATUS_FAILED,
        "n3": pb.NODE_STATUS_SKIPPED,
    }
    assert [one.error for one in response.failed.node_results if one.HasField("error")] == [
        response.error
    ]
    metrics = response.failed.metrics
    assert metrics.wall_time_ms > 0
    assert not response.failed.data_outputs
    counted = {
        name: (one.items_processed, one.outputs) for name, one in metrics.node_metrics.items()
    }
    assert counted == {"n0": (1, 1), "n1": (1, 1), "n2": (1, 0), "n3": (0, 0)}
    assert all(one.cpu_time_ms for name, one in metrics.node_metrics.items() if name != "n0")


async def test_nodes_of_a_session_that_never_started_were_skipped(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_audio_samples=1)
    audio = pb.DataBuffer(audio=pb.AudioBuffer(samples=bytes(40), sample_rate=1, channels=1))
    request = execution.ExecuteRequest(
        manifest=pipeline("EchoNode"), data_inputs={"n0": audio}, resource_limits=limits
    )
    response = await wire.execute(request)
    assert [one.status for one in response.failed.node_results] == [pb.NODE_STATUS_SKIPPED]
    assert response.failed.status == pb.EXECUTION_STATUS_FAILED


async def test_a_manifest_that_is_refused_has_no_nodes_to_tell_of(wire: WireClient) -> None:
    request = execution.ExecuteRequest(manifest=pipeline("PassTrough"))
    assert not (await wire.execute(request)).HasField("failed")


async def test_what_had_no_input_was_skipped_and_the_success_is_partial(wire: WireClient) -> None:
    manifest = pipeline("PassThrough", "EchoNode")
    manifest.nodes.add(id="side", node_type="PassThrough")
    manifest.nodes.add(id="after", node_type="PassThrough")
    manifest.connections.append(execution.Connection(**{"from": "side", "to": "after"}))
    result = (await run(wire, manifest)).result
    assert result.status == pb.EXECUTION_STATUS_PARTIAL_SUCCESS
    assert {one.node_id: one.status for one in result.node_results} == {
        "n0": pb.NODE_STATUS_SUCCESS,
        "n1": pb.NODE_STATUS_SUCCESS,
        "side": pb.NODE_STATUS_SKIPPED,
        "after": pb.NODE_STATUS_SKIPPED,
    }


async def test_what_had_only_what_it_does_not_take_was_skipped(wire: WireClient) -> None:
    manifest = pipeline("PassThrough", "AudioChunkerNode", "PassThrough")
    result = (await run(wire, manifest)).result
    assert result.status == pb.EXECUTION_STATUS_PARTIAL_SUCCESS
    assert [one.status for one in result.node_results] == [
        pb.NODE_STATUS_SUCCESS,
        pb.NODE_STATUS_SKIPPED,
        pb.NODE_STATUS_SKIPPED,
    ]


async def test_a_client_that_cancels_ends_the_session(wire: WireClient) -> None:
    """The leak check looks for the session and its processes."""
    request = execution.ExecuteRequest(
        manifest=pipeline("hang_in_process"), data_inputs={"n0": text("x")}
    )
    call = wire.execute(request)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(call.code()), 0.5)
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_another_protocol_version_is_refused(wire: WireClient) -> None:
    refused = await error(wire, pipeline("PassThrough"), client_version="v2")
    assert refused.error_type == pb.ERROR_TYPE_VERSION_MISMATCH


async def test_a_calls_own_time_limit_holds(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_timeout_ms=200)
    refused = await error(wire, pipeline("hang_in_process"), resource_limits=limits)
    assert refused.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(refused.context)["limit"] == 200


async def test_a_calls_own_audio_limit_holds(wire: WireClient) -> None:
    audio = pb.DataBuffer(audio=pb.AudioBuffer(samples=bytes(40), sample_rate=1, channels=1))
    limits = pb.ResourceLimits(max_audio_samples=9)
    refused = await error(wire, pipeline("PassThrough"), audio, resource_limits=limits)
    assert refused.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT


async def test_a_calls_own_memory_limit_holds(wire: WireClient) -> None:
    """The node takes 16 MiB unless it is told another size."""
    limits = pb.ResourceLimits(max_memory_bytes=60 << 20)
    manifest = pipeline("leak_memory", params={"mebibytes": 100})
    refused = await error(wire, manifest, resource_limits=limits)
    assert refused.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert "MemoryError" in refused.message
    assert (await run(wire, pipeline("leak_memory"), resource_limits=limits)).HasField("result")


async def test_a_pipeline_that_can_not_run_within_its_memory_is_refused(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_memory_bytes=1 << 20)
    refused = await error(wire, pipeline("EchoNode"), resource_limits=limits)
    assert refused.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    facts = json.loads(refused.context)
    assert (facts["resource"], facts["limit"]) == ("max_memory_bytes", 1 << 20)
    assert facts["wished"] > 16 << 20


async def test_a_memory_limit_that_is_no_limit_is_taken(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_memory_bytes=2**64 - 1, max_timeout_ms=2**64 - 1)
    assert (await run(wire, pipeline("EchoNode"), resource_limits=limits)).HasField("result")


@pytest.mark.parametrize("types", [("hang_in_process",), ("hang_in_setup",)])
async def test_a_deadline_ends_the_call_and_its_session(
    wire: WireClient, types: tuple[str, ...]
) -> None:
    request = execution.ExecuteRequest(manifest=pipeline(*types), data_inputs={"n0": text("")})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.execute(request, timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


PRODUCERS = """
from collections.abc import Iterator
from threading import Event
from penstock import Json, Node, node


@node("Hundred")
class Hundred(Node):
    def produce(self) -> Iterator[Json]:
        yield from map(Json, range(100))


@node("HundredNative", executor="native")
class HundredNative(Hundred):
    pass


@node("Endless")
class Endless(Node):
    def produce(self) -> Iterator[Json]:
        yield Json(0)
        Event().wait()
"""


class TestProducers:
    """With a file of nodes that have outputs of their own."""

    @pytest.fixture
    def catalogue(self, tmp_path: Path) -> Catalogue:
        path = tmp_path / "producers.py"
        path.write_text(PRODUCERS)
        return Catalogue.installed().extended(path)

    @pytest.mark.parametrize("node_type", ["Hundred", "HundredNative"])
    async def test_they_run_to_an_end_of_their_own(self, wire: WireClient, node_type: str) -> None:
        request = execution.ExecuteRequest(manifest=pipeline(node_type, "EchoNode"))
        result = (await wire.execute(request)).result
        *earlier, last = result.outputs
        buffers = [*(output.buffer for output in earlier), result.data_outputs["n1"]]
        assert [json.loads(one.json.json_payload) for one in buffers] == list(range(100))
        assert last.node_id == "n1"

    async def test_one_that_has_none_is_ended_by_the_time_limit(self, wire: WireClient) -> None:
        limits = pb.ResourceLimits(max_timeout_ms=500)
        request = execution.ExecuteRequest(manifest=pipeline("Endless"), resource_limits=limits)
        assert (await wire.execute(request)).error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT


@pytest.mark.parametrize(
    ("said", "fits"), [("", True), ("v1", True), ("1.0", True), ("0.9-beta", True), ("v2", False)]
)
async def test_the_version_says_what_runs_and_what_fits(
    wire: WireClient, said: str, fits: bool
) -> None:
    answer = await wire.version(execution.VersionRequest(client_version=said))
    assert answer.compatible is fits
    assert bool(answer.compatibility_message) is not fits
    assert answer.version_info.protocol_version == "v1"
    assert {"PassThrough", "EchoNode"} <= set(answer.version_info.supported_node_types)
    assert {
        "remotemedia.v1",
        "remotemedia.v1.PipelineExecutionService",
        "remotemedia.v1.StreamingPipelineService",
        "penstock.v1.PipelinePlanning",
        "grpc.health.v1.Health",
    } <= set(answer.version_info.supported_protocols)
