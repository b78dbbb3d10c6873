"""Directed graphs as mappings from a node to its successors: pure, without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]
"""Every node is a key; every successor is one too."""


def predecessors(graph: Graph) -> dict[str, tuple[str, ...]]:
    """For each node, those that feed it, in the graph's order."""
    found: dict[str, list[str]] = {node: [] for node in graph}
    for node, targets in graph.items():
        for target in targets:
            found[target].append(node)
    return {node: tuple(sources) for node, sources in found.items()}


def stages(graph: Graph) -> list[list[str]]:
    """The nodes by the length of the longest way to them; within a stage in graph order.

    Nodes on a cycle, and behind one, are left out.
    """
    waiting = {node: len(sources) for node, sources in predecessors(graph).items()}
    found: list[list[str]] = []
    ready = [node for node, count in waiting.items() if count == 0]
    place = {node: index for index, node in enumerate(graph)}
    while ready:
        found.append(ready)
        following = []
        for node in ready:
            for target in graph[node]:
                waiting[target] -= 1
                if waiting[target] == 0:
                    following.append(target)
        ready = sorted(following, key=place.__getitem__)
    return found


def cycles(graph: Graph) -> Iterator[list[str]]:
    """Cycles, each from one of its nodes round to before it: at least one per knot.

    A knot of many cycles gives few: a node that one cycle has closed at closes no other.
    """
    reported: set[str] = set()
    finished: set[str] = set()
    for root in graph:
        if root not in finished:
            yield from _cycles_from(root, graph, finished, reported)


def _cycles_from(
    root: str, graph: Graph, finished: set[str], reported: set[str]
) -> Iterator[list[str]]:
    """Depth first from ``root``; an edge back onto the path in hand closes a cycle."""
    path = [root]
    place = {root: 0}
    untried = [iter(graph[root])]
    while path:
        target = next(untried[-1], None)
        if target is None:
            untried.pop()
            left = path.pop()
            del place[left]
            finished.add(left)
        elif target in place:
            if target not in reported and path[-1] not in reported:
                cycle = path[place[target] :]
                reported.update(cycle)
                yield cycle
        elif target not in finished:
            place[target] = len(path)
            path.append(target)
            untried.append(iter(graph[target]))
