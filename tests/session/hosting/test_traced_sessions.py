"""A traced session tells what each node did with each input, from whatever process it ran in."""

from __future__ import annotations

from collections import defaultdict

import pytest
from pipelines import chain, options, through

from penstock.data import CLIENT, Text
from penstock.errors import NodeExecutionError
from penstock.executors.trail import BATCH, NodeSpan
from penstock.session import NodeSpans, Session, SessionStatus
from penstock.session.hosting import Hosts

NODES = ("PassThrough", "EchoNode", "repeat_native", "collect")
"""Quick and native; in a process; native on a thread, two for each; in a process, at the end."""


class Told:
    """What a session has told of its nodes."""

    def __init__(self) -> None:
        self.spans: dict[str, list[NodeSpan]] = defaultdict(list)
        self.lost = 0

    def __call__(self, told: NodeSpans) -> None:
        self.spans[told.node_id] += told.spans
        self.lost += told.lost

    def of(self, node_id: str) -> list[tuple[str, int, int]]:
        return [(span.origin, span.sequence, span.part) for span in self.spans[node_id]]


@pytest.fixture(params=["here", "in a host"])
def where(request: pytest.FixtureRequest, hosts: Hosts) -> Hosts | None:
    return hosts if request.param == "in a host" else None


async def test_each_input_leaves_a_span_in_each_node(where: Hosts | None) -> None:
    told = Told()
    session = Session(chain(*NODES), options(hosts=where, on_spans=told))
    async with session:
        outputs = await through(session, [Text("a"), Text("b"), Text("c")])
    numbers = [1, 2, 3]
    assert told.of(CLIENT)[:3] == [(CLIENT, number, 0) for number in numbers]
    assert told.of(CLIENT)[3:] == [("n3", output.sequence, output.part) for output in outputs]
    assert told.of("n0") == [(CLIENT, number, 0) for number in numbers]
    assert told.of("n1") == [("n0", number, 0) for number in numbers]
    assert told.of("n2") == [("n1", number, 0) for number in numbers]
    assert told.of("n3") == [("n2", number, part) for number in numbers for part in (0, 1)]
    assert told.lost == 0


async def test_all_processes_go_by_one_clock(where: Hosts | None) -> None:
    told = Told()
    async with Session(chain(*NODES), options(hosts=where, on_spans=told)) as session:
        await through(session, [Text("a")])
    begun = [told.spans[name][0] for name in (CLIENT, "n0", "n1", "n2", "n3")]
    assert [span.started_ns for span in begun] == sorted(span.started_ns for span in begun)
    assert all(span.started_ns <= span.ended_ns for span in begun)


async def test_spans_are_told_while_the_session_runs(where: Hosts | None) -> None:
    told = Told()
    manifest = chain("PassThrough", "EchoNode")
    async with Session(manifest, options(hosts=where, on_spans=told)) as session:
        outputs = session.outputs()
        await session.send("n0", Text("x"))
        await anext(outputs)
        assert not told.spans
        await session.metrics()
        assert session.context.status is SessionStatus.EXECUTING
        assert told.of("n0") == [(CLIENT, 1, 0)]
        assert told.of("n1") == [("n0", 1, 0)]
        await outputs.aclose()


async def test_many_are_told_in_batches(where: Hosts | None) -> None:
    batches: list[tuple[str, int]] = []
    told = options(hosts=where, on_spans=lambda t: batches.append((t.node_id, len(t.spans))))
    async with Session(chain("PassThrough", "EchoNode"), told) as session:
        await through(session, [Text("x")] * (2 * BATCH + 1))
    for node_id in ("n0", "n1"):
        assert [size for name, size in batches if name == node_id] == [BATCH, BATCH, 1]


async def test_what_a_failing_node_did_before_is_told(where: Hosts | None) -> None:
    told = Told()
    manifest = chain("EchoNode", ("raise_in_process", {"on": 2}))
    session = Session(manifest, options(hosts=where, on_spans=told))
    async with session:
        await session.send("n0", Text("a"))
        await session.send("n0", Text("b"))
        with pytest.raises(NodeExecutionError, match="can't digest input 2"):
            async for _ in session.outputs():
                pass
    assert told.of("n0")[:1] == [(CLIENT, 1, 0)]
    assert told.of("n1") == [("n0", 1, 0)]


async def test_a_callback_that_raises_ends_nothing(where: Hosts | None) -> None:
    def wrong(_: NodeSpans) -> None:
        raise ValueError("an observer's own affair")

    manifest = chain("PassThrough", "EchoNode")
    async with Session(manifest, options(hosts=where, on_spans=wrong)) as session:
        assert len(await through(session, [Text("x")] * 3)) == 3
