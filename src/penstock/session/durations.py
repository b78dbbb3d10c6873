"""How long nodes of each type take, as the sessions of one service have measured it."""

from __future__ import annotations

from collections.abc import Mapping


class Durations:
    """Running means, in ms per input, for the estimates of later plans."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[float, int]] = {}

    def record(self, node_type: str, execution_ms: float, items: int) -> None:
        """Add what a node has measured over ``items`` inputs."""
        total_ms, count = self._totals.get(node_type, (0.0, 0))
        if items:
            self._totals[node_type] = (total_ms + execution_ms, count + items)

    def means_ms(self) -> Mapping[str, float]:
        """By node type; types that were never measured are not in it."""
        return {name: total_ms / count for name, (total_ms, count) in self._totals.items()}
