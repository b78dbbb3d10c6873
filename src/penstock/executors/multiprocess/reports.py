"""What supervisors and nodes report, as the errors that a session ends with."""

from __future__ import annotations

from penstock.errors import NodeError, NodeExecutionError, NodeExitedError, NodeTimeoutError
from penstock.executors.multiprocess import messages


def exit_error(death: messages.Exited) -> NodeError:
    """A process that ended without a word of its own; or that had to, when its time was up."""
    if death.overdue:
        return NodeTimeoutError(
            death.node_id,
            during=death.overdue,
            limit_s=death.limit_s,
            stderr=death.stderr,
            stacks=death.stacks,
        )
    return NodeExitedError(
        death.node_id,
        pid=death.pid,
        exit_code=death.exit_code,
        signal=death.signal,
        exceeded_bytes=death.exceeded_bytes,
        stderr=death.stderr,
    )


def failure_error(
    node_id: str, failure: messages.Failed, stderr: str, memory_bytes: int | None
) -> NodeExecutionError:
    """What a node's method raised, with what the node said last, and what it may have."""
    said = failure.exception_message
    if memory_bytes is not None and failure.exception_type.endswith("MemoryError"):
        said = f"{said or 'none left'} (its process may use {memory_bytes} bytes of memory)"
    return NodeExecutionError(
        node_id,
        during=failure.during,
        exception_type=failure.exception_type,
        exception_message=said,
        traceback=failure.traceback,
        stderr=stderr,
    )
