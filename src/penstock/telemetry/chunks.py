"""The spans of a session put together again, chunk by chunk, whatever order they come in. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from penstock.executors.trail import NodeSpan
from penstock.session import NodeSpans

MOST_OPEN = 1024
"""Chunks of a session whose spans are being gathered; of more the oldest is complete as it is."""
MOST_STEPS = 256
"""Spans of one chunk."""
_SLACK_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One node's work on a part of a chunk; times are ``perf_counter_ns``.

    The input waited ``waited_ns`` on its lane, where it is known when that began.
    """

    node_id: str
    pid: int
    span: NodeSpan
    waited_ns: int | None


@dataclass(slots=True)
class Chunk:
    """What became of one input of the session."""

    sequence: int
    heard_ns: int
    parts: list[tuple[str, int, NodeSpan]] = field(default_factory=list)

    @property
    def started_ns(self) -> int:
        return min(span.started_ns for _, _, span in self.parts)

    @property
    def ended_ns(self) -> int:
        return max(span.ended_ns for _, _, span in self.parts)

    def steps(self) -> Iterator[Step]:
        """In the order in which they began."""
        ends: dict[str, int] = {}
        for node_id, pid, span in sorted(self.parts, key=lambda part: part[2].started_ns):
            left_ns = ends.get(span.origin)
            waited_ns = None if left_ns is None else max(span.started_ns - left_ns, 0)
            yield Step(node_id, pid, span, waited_ns)
            ends[node_id] = span.ended_ns


class ChunkBook:
    """Gathers the chunks of one session; ``admit`` says whether a new one may be traced.

    ``lost`` counts spans that were given up, by where.
    """

    def __init__(self, began_ns: int, admit: Callable[[], bool], lost: Counter[str]) -> None:
        self._began_ns = began_ns
        self._admit = admit
        self._lost = lost
        self._open: OrderedDict[int, Chunk | None] = OrderedDict()

    def add(self, told: NodeSpans, now_ns: int) -> Iterator[Chunk]:
        """Take in what a node told; gives chunks that there is no more room for."""
        self._lost["on_the_way"] += max(told.lost, 0)
        for span in told.spans:
            if not self._began_ns <= span.started_ns <= span.ended_ns <= now_ns + _SLACK_NS:
                self._lost["invalid"] += 1
                continue
            if span.sequence not in self._open:
                self._open[span.sequence] = Chunk(span.sequence, 0) if self._admit() else None
            chunk = self._open[span.sequence]
            if chunk is None or len(chunk.parts) >= MOST_STEPS:
                self._lost["rate"] += 1
            else:
                chunk.parts.append((told.node_id, told.pid, span))
                chunk.heard_ns = now_ns
        while len(self._open) > MOST_OPEN:
            _, chunk = self._open.popitem(last=False)
            if chunk is not None:
                yield chunk

    def quiet(self, since_ns: int) -> Iterator[Chunk]:
        """Those that nothing was heard of since then: they are complete."""
        done = [n for n, chunk in self._open.items() if chunk and chunk.heard_ns <= since_ns]
        for number in done:
            chunk = self._open.pop(number)
            if chunk is not None:
                yield chunk

    def rest(self) -> Iterator[Chunk]:
        """All that are left, at the end."""
        left, self._open = self._open, OrderedDict()
        return (chunk for chunk in left.values() if chunk is not None)
