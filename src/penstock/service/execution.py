"""``PipelineExecutionService``: a manifest run to its end in one call."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import time
from collections.abc import Mapping

from penstock.data import Value
from penstock.errors import PenstockError, ResourceLimitError
from penstock.service.admission import Admission, compatible
from penstock.service.limits import CallLimits
from penstock.service.outputs import encode_output
from penstock.service.status import Context, ServiceStoppingError, abort
from penstock.session import Session
from penstock.wire.buffers import decode
from penstock.wire.errors import encode_error
from penstock.wire.methods import PACKAGE, PROTOCOL
from penstock.wire.metrics import CodecTime, encode_metrics
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution

_log = logging.getLogger(__name__)


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
        try:
            return execution.ExecuteResponse(result=await self._execute(request))
        except PenstockError as exc:
            if self._admission.stopping:
                await abort(context, ServiceStoppingError())
            return execution.ExecuteResponse(error=encode_error(exc))
        except Exception as exc:  # noqa: BLE001  # the last place that can log it and say so
            _log.exception("ExecutePipeline failed")
            await abort(context, exc)

    async def _execute(self, request: execution.ExecuteRequest) -> execution.ExecutionResult:
        limits = CallLimits(request.resource_limits)
        codec = CodecTime()
        admitted = self._admission.session(request.manifest, request.client_version)
        async with admitted as session:
            inputs = _inputs(request, limits, codec)
            try:
                async with asyncio.timeout(limits.timeout_s):
                    result = await self._run(session, inputs, codec)
            except TimeoutError as exc:
                raise limits.timed_out() from exc
            await session.aclose()
            reasons = {a.node_id: str(a.assignment_reason) for a in session.plan.assignments}
            result.metrics.CopyFrom(encode_metrics(await session.metrics(), reasons, codec))
        return result

    async def _run(
        self, session: Session, inputs: Mapping[str, Value], codec: CodecTime
    ) -> execution.ExecutionResult:
        """All inputs in, all outputs out; each source has room for its one input."""
        await session.start()
        for node_id, value in inputs.items():
            await session.send(node_id, value, sequence=0)
        await session.end()
        result = execution.ExecutionResult(
            status=pb.EXECUTION_STATUS_SUCCESS,
            node_results=[
                pb.NodeResult(node_id=node_id, status=pb.NODE_STATUS_SUCCESS)
                for node_id in session.plan.order
            ],
        )
        await self._collect(session, result, codec)
        return result

    async def _collect(
        self, session: Session, result: execution.ExecutionResult, codec: CodecTime
    ) -> None:
        limit = self._admission.settings.limits.max_message_bytes
        size = 0
        async for output in session.outputs():
            buffer = encode_output(output, codec)
            size += buffer.ByteSize()
            if size > limit:
                raise ResourceLimitError("max_message_bytes", wished=size, free=limit, limit=limit)
            result.outputs.add(
                node_id=output.node_id,
                sequence=output.sequence,
                part=output.part,
                timestamp_us=output.timestamp_us,
            ).buffer.CopyFrom(buffer)
            result.data_outputs[output.node_id].CopyFrom(buffer)

    async def version(
        self, request: execution.VersionRequest, _context: Context
    ) -> execution.VersionResponse:
        """What this service is, and whether it can serve the client."""
        fits = compatible(request.client_version)
        message = "" if fits else f"this service speaks {PROTOCOL}, not {request.client_version}"
        return execution.VersionResponse(
            version_info=pb.VersionInfo(
                protocol_version=PROTOCOL,
                runtime_version=_runtime_version(),
                supported_node_types=self._admission.catalogue.names(),
                supported_protocols=[PACKAGE],
            ),
            compatible=fits,
            compatibility_message=message,
        )


def _inputs(
    request: execution.ExecuteRequest, limits: CallLimits, codec: CodecTime
) -> dict[str, Value]:
    started = time.perf_counter()
    inputs = {
        node_id: decode(buffer, f"data_inputs[{node_id!r}]")
        for node_id, buffer in request.data_inputs.items()
    }
    codec.decoding_s += time.perf_counter() - started
    for value in inputs.values():
        limits.count(value)
    return inputs


def _runtime_version() -> str:
    """The installed package's version; empty where it runs from a bare source tree."""
    try:
        return importlib.metadata.version("penstock")
    except importlib.metadata.PackageNotFoundError:
        return ""
