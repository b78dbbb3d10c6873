"""What a session takes at most, told from its plan, and how to have it take less. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from penstock.data import CLIENT, ExecutorType
from penstock.errors import ResourceLimitError
from penstock.executors.multiprocess.limits import Allowance
from penstock.executors.multiprocess.transport import guaranteed_pool
from penstock.manifest import READ_AHEAD_BYTES, ManifestConfiguration
from penstock.planning import NodeExecutionPlan

LEAST_NODE_BYTES = 16 << 20
"""What a node needs beyond what its process begins with, to do anything and to say what failed."""
LEAST_MESSAGE_BYTES = 64 << 10
FILES_OF_A_SESSION = 32
"""Descriptors that a service has for a session with one source and one sink, with room."""
_FILES_OF_A_LANE = 3
"""Those of either end of a lane between processes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one session takes at most.

    ``buffered_bytes`` are values in queues outside shared memory, those for taps among them,
    ``node_memory_bytes`` what its node processes may have together (0 where they have no limit),
    ``open_files`` descriptors of a service, from which the session is in another process.
    """

    processes: int
    shared_memory_bytes: int
    buffered_bytes: int = 0
    node_memory_bytes: int = 0
    sessions: int = 1
    open_files: int = 0

    @property
    def memory_bytes(self) -> int:
        """All of it that is memory."""
        return self.shared_memory_bytes + self.buffered_bytes + self.node_memory_bytes


def cost_of(plan: NodeExecutionPlan, *, hosted: bool) -> Cost:
    """The cost of one session; ``hosted`` says that its native nodes have a process too."""
    config = plan.configuration
    pools = _pools(plan, hosted=hosted)
    return Cost(
        processes=_processes(plan),
        shared_memory_bytes=pools * guaranteed_pool(config.max_message_bytes),
        buffered_bytes=_buffered_bytes(plan, hosted=hosted),
        node_memory_bytes=_limited_nodes(plan, hosted=hosted) * (config.node_memory_bytes or 0),
        open_files=_open_files(plan) if hosted else 0,
    )


def within_memory(plan: NodeExecutionPlan, limit: int, *, hosted: bool) -> NodeExecutionPlan:
    """The same plan with a configuration in which a session takes at most ``limit`` bytes.

    Shared memory and queues get a quarter each, or what they need where that is less: for that
    the largest message gets smaller. The nodes have equal parts of the rest. Raises
    ``ResourceLimitError`` where that is too little to run with.
    """
    config = plan.configuration
    quarter, pools = limit // 4, _pools(plan, hosted=hosted)
    largest = config.max_message_bytes
    while pools * guaranteed_pool(largest) > quarter and largest > LEAST_MESSAGE_BYTES:
        largest = max(largest // 2, LEAST_MESSAGE_BYTES)
    queues = min(config.buffered_bytes, max(quarter, 2 * READ_AHEAD_BYTES))
    less = replace(config, max_message_bytes=largest, buffered_bytes=queues, node_memory_bytes=None)
    nodes = _limited_nodes(plan, hosted=hosted)
    taken = cost_of(replace(plan, configuration=less), hosted=hosted).memory_bytes
    least = taken + nodes * LEAST_NODE_BYTES
    if least > limit:
        raise ResourceLimitError("max_memory_bytes", wished=least, free=limit, limit=limit)
    each = (limit - taken) // max(nodes, 1)
    own = config.node_memory_bytes
    each = each if own is None else min(each, own)
    return replace(plan, configuration=replace(less, node_memory_bytes=each))


def host_allowance(plan: NodeExecutionPlan, pool_bytes: int) -> Allowance:
    """What a host may use: what its native nodes may, together."""
    each, native = plan.configuration.node_memory_bytes, _native_nodes(plan)
    return Allowance(each * native if each is not None and native else None, pool_bytes)


def smallest_cost(*, hosted: bool) -> Cost:
    """What any session takes at least."""
    pools = 2 if hosted else 0
    files = FILES_OF_A_SESSION if hosted else 0
    buffered_bytes = READ_AHEAD_BYTES if hosted else 0
    return Cost(0, pools * guaranteed_pool(1), buffered_bytes, open_files=files)


def _open_files(plan: NodeExecutionPlan) -> int:
    """A service has an end of a lane for each source and each sink."""
    more = len(plan.sources) + len(plan.sinks) - 2
    return FILES_OF_A_SESSION + _FILES_OF_A_LANE * max(more, 0)


def _processes(plan: NodeExecutionPlan) -> int:
    return sum(node.executor is ExecutorType.MULTIPROCESS for node in plan.nodes)


def _limited_nodes(plan: NodeExecutionPlan, *, hosted: bool) -> int:
    """The nodes that ``node_memory_bytes`` binds: those in the caller's own process are free."""
    return _processes(plan) + (_native_nodes(plan) if hosted else 0)


def _pools(plan: NodeExecutionPlan, *, hosted: bool) -> int:
    processes = _processes(plan)
    return processes + 2 if hosted else processes + 1 if processes else 0


def _native_nodes(plan: NodeExecutionPlan) -> int:
    return sum(node.executor is ExecutorType.NATIVE for node in plan.nodes)


def _buffered_bytes(plan: NodeExecutionPlan, *, hosted: bool) -> int:
    config = plan.configuration
    if _queues(plan, hosted=hosted):
        return config.buffered_bytes
    return tap_bytes(config) + (READ_AHEAD_BYTES if hosted else 0)


def tap_bytes(configuration: ManifestConfiguration) -> int:
    """What may wait for the readers of all taps of a session, together.

    It is reserved for each session, so that one can always be watched: no more than two of its
    largest messages, which is little beside its shared memory.
    """
    return min(configuration.buffered_bytes // 4, 2 * configuration.max_message_bytes)


def queue_bytes(plan: NodeExecutionPlan) -> int:
    """What each lane within the session's process may hold of what they may hold together."""
    config = plan.configuration
    together = config.buffered_bytes - READ_AHEAD_BYTES - tap_bytes(config)
    return together // max(_queues(plan, hosted=False), 1)


def _queues(plan: NodeExecutionPlan, *, hosted: bool) -> int:
    """Lanes that don't leave the process of the native nodes, which the client's do in a host."""
    lanes = [(edge.source, edge.target) for edge in plan.edges]
    if not hosted:
        lanes += [(CLIENT, node_id) for node_id in plan.sources]
        lanes += [(node_id, CLIENT) for node_id in plan.sinks]
    return sum(_is_here(plan, source) and _is_here(plan, target) for source, target in lanes)


def _is_here(plan: NodeExecutionPlan, end: str) -> bool:
    return end == CLIENT or plan.node(end).executor is ExecutorType.NATIVE
