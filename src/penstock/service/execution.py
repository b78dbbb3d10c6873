"""``PipelineExecutionService``: a manifest run to its end in one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from penstock import __version__
from penstock.data import Value, payload_bytes
from penstock.errors import PenstockError, ResourceLimitError
from penstock.service.admission import Admission, ServiceStoppingError, compatible
from penstock.service.call_log import CallLog
from penstock.service.limits import CallLimits
from penstock.service.outputs import write_output
from penstock.service.status import Context, abort_stopping, abort_unforeseen
from penstock.session import Output, Session
from penstock.wire.buffers import decode
from penstock.wire.errors import encode_error
from penstock.wire.methods import EXECUTE_PIPELINE, PACKAGE, PROTOCOL
from penstock.wire.metrics import CodecTime, encode_metrics
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution


class ExecutionServicer:
    """Answers ``ExecutePipeline`` and ``GetVersion``."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def execute(
        self, request: execution.ExecuteRequest, context: Context
    ) -> execution.ExecuteResponse:
        """Everything that the sinks gave, or the error.

        A client that leaves, or whose deadline passes, cancels this call and so its session.
        """
        response = execution.ExecuteResponse()
        log = CallLog(EXECUTE_PIPELINE.name)
        try:
            await self._execute(request, response.result, log)
        except asyncio.CancelledError:
            log.left()
            raise
        except PenstockError as exc:
            log.failed(exc)
            if self._admission.stopping or isinstance(exc, ServiceStoppingError):
                await abort_stopping(context)
            return execution.ExecuteResponse(error=encode_error(exc))
        except Exception as exc:  # noqa: BLE001  # the last place that can log it and say so
            log.failed(exc)
            await abort_unforeseen(context)
        return response

    async def _execute(
        self, request: execution.ExecuteRequest, result: execution.ExecutionResult, log: CallLog
    ) -> None:
        limits = CallLimits(request.resource_limits)
        codec = CodecTime()
        admitted = self._admission.session(
            request.manifest, request.client_version, max_memory_bytes=limits.memory_bytes
        )
        async with admitted as session:
            log.session_id = session.session_id
            inputs = await self._inputs(request, codec)
            for value in inputs.values():
                limits.count(value, session.plan.configuration.max_message_bytes)
            try:
                async with asyncio.timeout(limits.timeout_s):
                    outputs = await self._run(session, inputs)
            except TimeoutError as exc:
                raise limits.timed_out() from exc
            _write_outputs(outputs, result, codec)
            del outputs
            reasons = {a.node_id: str(a.assignment_reason) for a in session.plan.assignments}
            result.metrics.CopyFrom(encode_metrics(await session.metrics(), reasons, codec))
        result.status = pb.EXECUTION_STATUS_SUCCESS
        for node_id in session.plan.order:
            result.node_results.add(node_id=node_id, status=pb.NODE_STATUS_SUCCESS)

    async def _inputs(
        self, request: execution.ExecuteRequest, codec: CodecTime
    ) -> dict[str, Value]:
        placed = {node_id: f"data_inputs[{node_id!r}]" for node_id in request.data_inputs}
        buffers = request.data_inputs.items()
        await self._admission.files.load((placed[node_id], buffer) for node_id, buffer in buffers)
        started = time.perf_counter()
        inputs = {node_id: decode(buffer, placed[node_id]) for node_id, buffer in buffers}
        codec.decoding_s += time.perf_counter() - started
        return inputs

    async def _run(self, session: Session, inputs: Mapping[str, Value]) -> list[Output]:
        """All inputs in, all outputs out; each source has room for its one input.

        Nodes that produce go on to an end of their own, or to the call's.
        """
        await session.start()
        for node_id, value in inputs.items():
            await session.send(node_id, value, sequence=0)
        await session.end(keep_producing=True)
        limit = self._admission.settings.limits.max_message_bytes
        outputs, size = [], 0
        async for output in session.outputs():
            outputs.append(output)
            size += payload_bytes(output.value)
            if size > limit:
                raise ResourceLimitError("max_message_bytes", wished=size, free=limit, limit=limit)
        return outputs

    async def version(
        self, request: execution.VersionRequest, _context: Context
    ) -> execution.VersionResponse:
        """What this service is, and whether it can serve the client."""
        fits = compatible(request.client_version)
        message = "" if fits else f"this service speaks {PROTOCOL}, not {request.client_version}"
        return execution.VersionResponse(
            version_info=pb.VersionInfo(
                protocol_version=PROTOCOL,
                runtime_version=__version__,
                supported_node_types=self._admission.catalogue.names(),
                supported_protocols=[PACKAGE],
            ),
            compatible=fits,
            compatibility_message=message,
        )


def _write_outputs(
    outputs: Sequence[Output], result: execution.ExecutionResult, codec: CodecTime
) -> None:
    """The last output of each sink goes into the map, where existing clients look for it."""
    last = {output.node_id: number for number, output in enumerate(outputs)}
    for number, output in enumerate(outputs):
        record = result.outputs.add(
            node_id=output.node_id,
            sequence=output.sequence,
            part=output.part,
            timestamp_us=output.timestamp_us,
        )
        in_map = last[output.node_id] == number
        buffer = result.data_outputs[output.node_id] if in_map else record.buffer
        write_output(output, buffer, codec)
