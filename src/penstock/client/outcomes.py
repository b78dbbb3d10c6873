"""What became of a manifest that was run to its end, or failed on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from penstock.client.metrics import ExecutionReport, execution_report
from penstock.errors import ServiceError
from penstock.session import Output
from penstock.wire.buffers import decode
from penstock.wire.errors import decode_error
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import execution_pb2 as pb


class NodeStatus(StrEnum):
    """What became of a node: ``SKIPPED`` is one that nothing came to.

    ``UNSPECIFIED`` is what the service doesn't say, or what this client doesn't know.
    """

    UNSPECIFIED = "unspecified"
    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"


class ExecutionStatus(StrEnum):
    """What became of all nodes: a ``PARTIAL_SUCCESS`` is one without those that were skipped.

    ``UNSPECIFIED`` is what the service doesn't say, or what this client doesn't know.
    """

    UNSPECIFIED = "unspecified"
    SUCCESS = "success"
    PARTIAL_SUCCESS = "partial_success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one node, and its ``error`` where it has failed."""

    status: NodeStatus
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class ExecutionOutcome:
    """Every output of every sink, in order, what was measured, and what became of the nodes.

    ``node_results`` has them by their IDs, each before those that it feeds.
    """

    outputs: tuple[Output, ...]
    metrics: ExecutionReport
    status: ExecutionStatus
    node_results: Mapping[str, NodeResult]


class ExecutionFailedError(ServiceError):
    """A session of ``execute`` failed; ``outcome`` is what its nodes did until then.

    There are no outputs in that, and zeros for what was not measured, such as all of a session
    that never started.
    """

    def __init__(self, said: ServiceError, outcome: ExecutionOutcome) -> None:
        self.outcome = outcome
        super().__init__(
            str(said),
            error_type=said.error_type,
            node_id=said.node_id,
            context=said.context,
            traceback=said.traceback,
        )


def execution_outcome(message: pb.ExecutionResult) -> ExecutionOutcome:
    return ExecutionOutcome(
        outputs=tuple(_output(output, message.data_outputs) for output in message.outputs),
        metrics=execution_report(message.metrics),
        status=_EXECUTIONS.get(message.status, ExecutionStatus.UNSPECIFIED),
        node_results={one.node_id: _node_result(one) for one in message.node_results},
    )


def execution_error(message: pb.ExecuteResponse) -> ServiceError:
    """What is to be raised for an answer that is no result."""
    said = decode_error(message.error)
    if not message.HasField("failed"):
        return said
    return ExecutionFailedError(said, execution_outcome(message.failed))


def _node_result(message: common.NodeResult) -> NodeResult:
    error = decode_error(message.error) if message.HasField("error") else None
    return NodeResult(_NODES.get(message.status, NodeStatus.UNSPECIFIED), error)


def _output(message: pb.SinkOutput, last: Mapping[str, common.DataBuffer]) -> Output:
    """An output whose buffer isn't here is its sink's last one."""
    buffer = message.buffer if message.HasField("buffer") else last[message.node_id]
    return Output(
        node_id=message.node_id,
        value=decode(buffer, f"outputs of {message.node_id!r}"),
        sequence=message.sequence,
        part=message.part,
        timestamp_us=message.timestamp_us,
        latency_s=None,
    )


_EXECUTIONS: Mapping[int, ExecutionStatus] = {
    common.EXECUTION_STATUS_SUCCESS: ExecutionStatus.SUCCESS,
    common.EXECUTION_STATUS_PARTIAL_SUCCESS: ExecutionStatus.PARTIAL_SUCCESS,
    common.EXECUTION_STATUS_FAILED: ExecutionStatus.FAILED,
}
_NODES: Mapping[int, NodeStatus] = {
    common.NODE_STATUS_SUCCESS: NodeStatus.SUCCESS,
    common.NODE_STATUS_SKIPPED: NodeStatus.SKIPPED,
    common.NODE_STATUS_FAILED: NodeStatus.FAILED,
}
