"""The pipelines of a storm, and what each must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.storm.nodes import Payload, combined, scrambled


@dataclass(frozen=True, slots=True)
class Step:
    """One node: its name in the pipeline, its type, and the nodes that feed it."""

    name: str
    node_type: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Nodes in the order of their dependencies; the first is the only source."""

    name: str
    steps: tuple[Step, ...]

    @property
    def sinks(self) -> tuple[str, ...]:
        fed = {name for step in self.steps for name in step.inputs}
        return tuple(step.name for step in self.steps if step.name not in fed)

    def manifest(self, prefix: str) -> dict[str, Any]:
        """With ``prefix`` before every node's ID, so that its process is known by its name."""
        return {
            "version": "v1",
            "metadata": {"name": self.name, "multiprocess": {"max_message_bytes": 1 << 20}},
            "nodes": [_node(prefix, number, step) for number, step in enumerate(self.steps)],
            "connections": [
                {"from": prefix + source, "to": prefix + step.name}
                for step in self.steps
                for source in step.inputs
            ],
        }

    def expected(self, payload: Payload) -> Mapping[str, bytes]:
        """What each sink makes of an input."""
        made: dict[str, Payload] = {}
        for key, step in enumerate(self.steps):
            fed = [made[name] for name in step.inputs] or [payload]
            made[step.name] = (
                scrambled(fed[0], key) if len(fed) == 1 else combined(fed[0], fed[1], key)
            )
        return {name: made[name].tobytes() for name in self.sinks}


def _node(prefix: str, key: int, step: Step) -> dict[str, Any]:
    params: dict[str, Any] = {"key": key}
    if len(step.inputs) > 1:
        params["inputs"] = dict(zip("ab", [prefix + name for name in step.inputs], strict=True))
    return {"id": prefix + step.name, "node_type": step.node_type, "params": params}


_N, _Q, _P = "ScrambleNative", "ScrambleQuick", "ScrambleProcess"
PIPELINES = (
    Pipeline("native", (Step("a", _N), Step("b", _Q, ("a",)))),
    Pipeline("process", (Step("a", _P),)),
    Pipeline("chain", (Step("a", _P), Step("b", _P, ("a",)))),
    Pipeline("mixed", (Step("a", _Q), Step("b", _P, ("a",)), Step("c", _N, ("b",)))),
    Pipeline("fan-out", (Step("a", _N), Step("b", _P, ("a",)), Step("c", _Q, ("a",)))),
    Pipeline(
        "join",
        (
            Step("a", _Q),
            Step("b", _P, ("a",)),
            Step("c", _N, ("a",)),
            Step("d", "CombineProcess", ("b", "c")),
        ),
    ),
    Pipeline(
        "native join",
        (
            Step("a", _Q),
            Step("b", _P, ("a",)),
            Step("c", _Q, ("a",)),
            Step("d", "CombineNative", ("b", "c")),
        ),
    ),
)
