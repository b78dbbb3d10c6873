"""What a host's death means for its session: one of its nodes did it, or something else."""

from __future__ import annotations

from penstock.data import ExecutorType
from penstock.errors import (
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    SupervisionError,
)
from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.supervisor import HOST_MARGIN_S
from penstock.planning import NodeExecutionPlan

_LATE = {"": "", "setup": "; it was not ready in time"}


def host_error(death: messages.Exited, plan: NodeExecutionPlan) -> PenstockError:
    """The error for a host that ended by itself, or had to.

    It is the node's that was at work, if that was one. Its page of vitals numbers native nodes
    in the order of the plan.
    """
    native = [node.node_id for node in plan.nodes if node.executor is ExecutorType.NATIVE]
    busy = [native[slot] for slot in death.busy if slot < len(native)]
    if death.overdue and busy:
        return NodeTimeoutError(
            busy[0],  # the one that began first
            during=death.overdue,
            limit_s=_limit_s(death, plan),
            stderr=death.stderr,
            stacks=death.stacks,
        )
    if len(busy) == 1:
        return NodeExitedError(
            busy[0],
            pid=death.pid,
            exit_code=death.exit_code,
            signal=death.signal,
            stderr=death.stderr,
        )
    return SupervisionError(_said(death, busy), at_work=busy)


def _limit_s(death: messages.Exited, plan: NodeExecutionPlan) -> float:
    """As the session set it."""
    config = plan.configuration
    if death.overdue == "setup":
        return config.init_timeout_secs
    return config.process_timeout_secs or max(death.limit_s - HOST_MARGIN_S, 0)


def _said(death: messages.Exited, busy: list[str]) -> str:
    how = f"was killed by {death.signal}" if death.signal else f"exited with {death.exit_code}"
    late = _LATE.get(death.overdue, f"; {death.overdue} did not end within {death.limit_s:g} s")
    work = f" while {', '.join(map(repr, busy))} were at work" if busy else ""
    last = f"\nits last output on stderr:\n{death.stderr.rstrip()}" if death.stderr.strip() else ""
    return f"its host process {death.pid} {how}{work}{late}{last}"
