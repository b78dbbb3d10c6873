"""``PipelineExecutionService``: a manifest run to its end in one call."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from penstock import __version__
from penstock.data import Value, held_bytes
from penstock.errors import PenstockError, ResourceLimitError, SessionError
from penstock.service.admission import Admission, ServiceStoppingError, compatible
from penstock.service.call_log import CallLog
from penstock.service.callers import caller_of
from penstock.service.limits import CallLimits
from penstock.service.node_results import completed, failed, overall
from penstock.service.outputs import write_output
from penstock.service.status import Context, abort_stopping, abort_unforeseen
from penstock.session import Output, Session, SessionMetrics, SessionStatus
from penstock.wire.buffers import decode
from penstock.wire.codec_time import CodecTime
from penstock.wire.errors import encode_error
from penstock.wire.json_texts import JsonTexts
from penstock.wire.methods import EXECUTE_PIPELINE, PACKAGE, PROTOCOL
from penstock.wire.metrics import encode_metrics
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution


class ExecutionServicer:
    """Answers ``ExecutePipeline``, and ``GetVersion`` by what is ``served`` beside them."""

    def __init__(self, admission: Admission, served: Sequence[str]) -> None:
        self._admission = admission
        self._served = served

    async def execute(
        self, request: execution.ExecuteRequest, context: Context
    ) -> execution.ExecuteResponse:
        """Everything that the sinks gave, or the error.

        A client that leaves, or whose deadline passes, cancels this call and so its session.
        """
        call = ExecuteCall(self._admission, request, context)
        try:
            return execution.ExecuteResponse(result=await call.run())
        except asyncio.CancelledError:
            call.log.left()
            raise
        except PenstockError as exc:
            call.log.failed(exc)
            if self._admission.stopping or isinstance(exc, ServiceStoppingError):
                await abort_stopping(context)
            return await call.failed(exc)
        except Exception as exc:  # noqa: BLE001  # the last place that can log it and say so
            call.log.failed(exc)
            await abort_unforeseen(context)

    async def version(
        self, request: execution.VersionRequest, context: Context
    ) -> execution.VersionResponse:
        """What this service is, the node types that its caller may use, and whether it fits."""
        fits = compatible(request.client_version)
        caller, known = caller_of(context), self._admission.catalogue.names()
        message = "" if fits else f"this service speaks {PROTOCOL}, not {request.client_version}"
        return execution.VersionResponse(
            version_info=pb.VersionInfo(
                protocol_version=PROTOCOL,
                runtime_version=__version__,
                supported_node_types=[name for name in known if caller.may_use(name)],
                supported_protocols=[PACKAGE, *self._served],
            ),
            compatible=fits,
            compatibility_message=message,
        )


class ExecuteCall:
    """One call and its session, to the end of both."""

    def __init__(
        self, admission: Admission, request: execution.ExecuteRequest, context: Context
    ) -> None:
        self.log = CallLog(EXECUTE_PIPELINE.name, context.peer())
        self._admission = admission
        self._request = request
        self._caller = caller_of(context)
        self._limits = CallLimits(request.resource_limits)
        self._codec = CodecTime()
        self._session: Session | None = None

    async def run(self) -> execution.ExecutionResult:
        """Everything that the sinks gave, and what the nodes did; raises what failed."""
        request, result = self._request, execution.ExecutionResult()
        admitted = self._admission.session(
            request.manifest,
            request.client_version,
            self._caller,
            max_memory_bytes=self._limits.memory_bytes,
        )
        async with admitted as session:
            self._session = session
            self.log.session_id = session.session_id
            outputs = await self._limits.bound(session, self._through(session))
            _write_outputs(outputs, result, self._codec)
            del outputs
            metrics = await session.metrics()
        result.metrics.CopyFrom(self._encoded(session, metrics))
        result.node_results.extend(completed(session.plan, metrics, request.data_inputs))
        result.status = overall(result.node_results)
        return result

    async def failed(self, error: PenstockError) -> execution.ExecuteResponse:
        """The error, and what its session's nodes did until then, where there was one."""
        response = execution.ExecuteResponse(error=encode_error(error))
        session = self._session
        if session is None:
            return response
        executed: SessionMetrics | None = None
        with contextlib.suppress(SessionError):  # it was never started
            metrics = await session.metrics()
            response.failed.metrics.CopyFrom(self._encoded(session, metrics))
            executed = metrics if _has_executed(session) else None
        response.failed.node_results.extend(failed(session.plan, executed, error))
        response.failed.status = pb.EXECUTION_STATUS_FAILED
        return response

    def _encoded(self, session: Session, metrics: SessionMetrics) -> pb.ExecutionMetrics:
        reasons = {a.node_id: str(a.assignment_reason) for a in session.plan.assignments}
        return encode_metrics(metrics, reasons, self._codec)

    async def _inputs(self, session: Session) -> dict[str, Value]:
        given = self._request.data_inputs
        placed = {node_id: f"data_inputs[{node_id!r}]" for node_id in given}
        buffers = given.items()
        await self._admission.files.load((placed[node_id], buffer) for node_id, buffer in buffers)
        started = time.perf_counter()
        largest = session.plan.configuration.max_message_bytes
        texts = JsonTexts(largest)
        inputs = {name: decode(buffer, placed[name], texts=texts) for name, buffer in buffers}
        self._codec.decoding_s += time.perf_counter() - started
        for value in inputs.values():
            self._limits.check(value, largest)
            self._limits.count(value)
        return inputs

    async def _through(self, session: Session) -> list[Output]:
        """All inputs in, all outputs out; each source has room for its one input.

        Nodes that produce go on to an end of their own, or to the call's. Raises
        ``ResourceLimitError`` where all outputs take more than a message may, in ``held_bytes``:
        those without a payload take memory, too.
        """
        inputs = await self._inputs(session)
        await session.start()
        for node_id, value in inputs.items():
            await session.send(node_id, value, sequence=0)
        await session.end(keep_producing=True)
        limit = self._admission.settings.limits.max_message_bytes
        outputs, size = [], 0
        async for output in session.outputs():
            outputs.append(output)
            size += held_bytes(output.value)
            if size > limit:
                raise ResourceLimitError("max_message_bytes", wished=size, free=limit, limit=limit)
        return outputs


def _has_executed(session: Session) -> bool:
    return SessionStatus.EXECUTING in session.context.machine.history


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
