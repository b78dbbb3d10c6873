"""What a session counts itself, and with what others have counted, its metrics."""

from __future__ import annotations

from penstock.session.context import SessionExecutionContext
from penstock.session.crossing import Tally
from penstock.session.ensemble import Ensemble
from penstock.session.metrics import (
    HostMetrics,
    NodeMetrics,
    SessionMetrics,
    SessionTotals,
    host_metrics,
    lane_metrics,
    node_metrics,
    waiting_and_dropped,
)


class Counters(Tally):
    """What the session counts in its own process, and what makes metrics of it."""

    def __init__(self, context: SessionExecutionContext) -> None:
        super().__init__()
        self._context = context

    def metrics(self, ensemble: Ensemble, wall_time_s: float) -> SessionMetrics:
        """All that was counted, as it was measured last."""
        context = self._context
        nodes = node_metrics(ensemble.executors)
        host = host_metrics(ensemble.host)
        processes: list[NodeMetrics | HostMetrics] = [*nodes.values(), *([host] if host else [])]
        waiting, dropped = waiting_and_dropped(context.data_bridges)
        return SessionMetrics(
            session_id=context.session_id,
            wall_time_s=wall_time_s,
            cpu_time_s=sum(one.cpu_time_s for one in processes),
            peak_memory_bytes=sum(one.peak_memory_bytes for one in processes),
            nodes=nodes,
            bridges=tuple(bridge.statistics() for bridge in context.data_bridges),
            lanes=lane_metrics(context.data_bridges, context.plan.joins),
            inputs=sum(self.kinds.values()),
            outputs=self.outputs,
            items_by_kind=dict(self.kinds),
            waiting=waiting,
            dropped=dropped,
            average_latency_s=self.average_latency_s,
            host=host,
        )

    def totals(self, ensemble: Ensemble) -> SessionTotals:
        """What the metrics say of the session as a whole, for a fraction of what those cost."""
        waiting, dropped = waiting_and_dropped(self._context.data_bridges)
        nodes = [node for one in ensemble.executors for node in one.statistics.values()]
        own = 0 if ensemble.host is None else ensemble.host.peak_memory_bytes
        return SessionTotals(
            session_id=self._context.session_id,
            inputs=sum(self.kinds.values()),
            items_processed=sum(node.items for node in nodes),
            items_by_kind=dict(self.kinds),
            waiting=waiting,
            dropped=dropped,
            peak_memory_bytes=own + sum(node.peak_memory_bytes for node in nodes),
            average_latency_s=self.average_latency_s,
        )
