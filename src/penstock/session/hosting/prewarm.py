"""The node processes that the operator wants to be ready, as orders for them."""

from __future__ import annotations

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError, Fault, ManifestError, ResourceLimitError
from penstock.executors.multiprocess.transport import guaranteed_pool
from penstock.manifest import PrewarmSettings, Settings, parse_manifest, path_of
from penstock.nodes import Catalogue
from penstock.planning import make_plan
from penstock.session.budget import Budget
from penstock.session.cost import Cost
from penstock.session.hosting.warm import Order

_AT = ("service", "prewarm")
_PREWARMED = "[prewarmed]"
"""What the processes that wait for a session are called where sessions have their IDs."""


def prewarm_orders(settings: Settings, catalogue: Catalogue) -> tuple[Order, ...]:
    """What ``[[service.prewarm]]`` asks for.

    Raises ``ConfigurationError`` for a node type that there is not, parameters that it doesn't
    take, or one that would not run in a process of its own.
    """
    wishes = enumerate(settings.service.prewarm)
    return tuple(_order(number, wish, settings, catalogue) for number, wish in wishes)


def reserve_prewarmed(budget: Budget, orders: tuple[Order, ...]) -> None:
    """Take what the processes that wait need from all sessions' budget, for good.

    Raises ``ConfigurationError`` where it hasn't that much.
    """
    processes = sum(order.count for order in orders)
    memory = sum(order.count * (order.config.node_memory_bytes or 0) for order in orders)
    cost = Cost(processes=processes, shared_memory_bytes=0, node_memory_bytes=memory, sessions=0)
    try:
        budget.reserve(_PREWARMED, cost)
    except ResourceLimitError as exc:
        raise ConfigurationError([Fault(path_of(_AT), str(exc))]) from exc


def _order(number: int, wish: PrewarmSettings, settings: Settings, catalogue: Catalogue) -> Order:
    """As the one node of a pipeline would be planned that says nothing besides."""
    node = {"id": "prewarmed", "node_type": wish.node_type, "params": wish.params}
    manifest = {"version": "v1", "metadata": {"name": "prewarm"}, "nodes": [node]}
    at = path_of((*_AT, number))
    try:
        plan = make_plan(parse_manifest(manifest), catalogue, settings, trusted=False)
    except ManifestError as exc:
        raise ConfigurationError([Fault(at, str(fault)) for fault in exc.faults]) from exc
    (assignment,) = plan.nodes
    if assignment.executor is not ExecutorType.MULTIPROCESS:
        message = f"{wish.node_type} runs on the {assignment.executor} executor, in no process"
        raise ConfigurationError([Fault(at, f"{message} of its own: there is nothing to prewarm")])
    pool_bytes = guaranteed_pool(plan.configuration.max_message_bytes)
    return Order(assignment, plan.configuration, pool_bytes, wish.count)
