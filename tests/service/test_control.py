"""``PipelineControl.Attach`` over the wire, by messages alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from bus_client import (
    HOUR_MS,
    IN,
    MIXED,
    NODES,
    OUT,
    PASS,
    Attached,
    Streaming,
    at,
    attached,
    hello,
)
from wire_client import (
    CANCEL,
    CLOSE,
    WireClient,
    calls_ended,
    chunk,
    rest,
    text,
)

from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.session import Session
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import control_pb2 as pb

DROP = pb.InterceptDecision(drop=pb.Empty())


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended("penstock.testing.faults", NODES)


@pytest.fixture
async def stream(wire: WireClient) -> AsyncIterator[Streaming]:
    call = wire.stream()
    yield Streaming(call)
    call.cancel()


async def ended(call: Any) -> tuple[list[pb.ControlEvent], grpc.StatusCode]:
    events = []
    while (event := await call.read()) is not grpc.aio.EOF:
        events.append(event)
    return events, await call.code()


async def test_taps_at_every_node(wire: WireClient, stream: Streaming) -> None:
    await stream.begin("adds_a", "EchoNode", "adds_b")
    async with attached(wire, stream.session_id) as one:
        for node_id, port in (("n0", ""), ("n1", "main"), ("n2", "")):
            await one.do(subscribe=pb.Subscribe(addr=at(node_id, port=port)))
        await one.do(subscribe=pb.Subscribe(addr=at("n0")))  # once is enough
        assert await stream.said("x") == ["xab"]
        taps = {}
        for _ in range(3):
            tap = await one.event("tap")
            taps[tap.addr.node_id] = tap
        assert taps["n0"].data.text.text_data == b"xa"
        assert taps["n1"].data.text.text_data == b"xa"
        assert taps["n2"].data.text.text_data == b"xab"
        assert taps["n1"].addr == at("n1", port="main")
        assert [(t.lost, t.sequence, t.part) for t in taps.values()] == [(0, 0, 0)] * 3
        await one.do(unsubscribe=pb.Unsubscribe(addr=at("n0")))
        await one.do(unsubscribe=pb.Unsubscribe(addr=at("n2")))
        await one.do(unsubscribe=pb.Unsubscribe(addr=at("n2")))  # nothing is there any more
        await one.do(remove_intercept=pb.RemoveIntercept(addr=at("n2")))  # nor ever was
        await one.do(clear_node_state=pb.ClearNodeState(node_id="n2"))
        assert await stream.said("y") == ["yab"]
        assert await one.tapped() == "ya"
        assert (await stream.close())[-1].closed.reason == "completed"
        closed = await one.event("session_closed")
        assert (closed.reason, closed.detail) == (pb.CLOSE_REASON_CODE_NORMAL, "")
        assert await ended(one.call) == ([], grpc.StatusCode.OK)


async def test_an_intercept_passes_replaces_and_drops(wire: WireClient, stream: Streaming) -> None:
    await stream.begin("adds_a", "EchoNode", "adds_b")
    async with attached(wire, stream.session_id) as one:
        await one.do(subscribe=pb.Subscribe(addr=at("n1")))
        await one.do(intercept=pb.Intercept(addr=at("n1"), deadline_ms=HOUR_MS))
        for word, decision in (
            ("p", PASS),
            ("r", pb.InterceptDecision(replace=text("new"))),
            ("d", DROP),
            ("p", PASS),
        ):
            await stream.call.write(chunk(word))
            request = await one.event("intercept_request")
            assert request.addr == at("n1")
            assert request.data.text.text_data.decode() == f"{word}a"
            number = request.correlation_id
            reply = pb.InterceptReply(correlation_id=number, decision=decision)
            await one.do(intercept_reply=reply)
            await one.do(intercept_reply=reply)  # too late: it changes nothing
        assert [await stream.heard() for _ in range(3)] == ["pab", "newb", "pab"]
        assert [await one.tapped() for _ in range(4)] == ["pa", "ra", "da", "pa"]
        await one.do(remove_intercept=pb.RemoveIntercept(addr=at("n1")))
        assert await stream.said("x") == ["xab"]
        assert (await stream.close())[-1].closed.reason == "completed"


async def test_nobody_replies(wire: WireClient, stream: Streaming) -> None:
    """The deadline of a client that says none is the protocol's."""
    await stream.begin(*MIXED)
    async with attached(wire, stream.session_id) as one:
        await one.do(intercept=pb.Intercept(addr=at("n1")))
        assert await stream.said("x", "y") == ["x", "y"]
        request = await one.event("intercept_request")
        late = pb.InterceptReply(correlation_id=request.correlation_id, decision=DROP)
        await one.do(intercept_reply=late)
        await one.do(intercept=pb.Intercept(addr=at("n1"), deadline_ms=1))
        assert await stream.said("z") == ["z"]


async def test_an_interceptor_that_dies(wire: WireClient, stream: Streaming) -> None:
    await stream.begin(*MIXED)
    async with attached(wire, stream.session_id) as one:
        await one.do(intercept=pb.Intercept(addr=at("n1"), deadline_ms=HOUR_MS))
        await stream.call.write(chunk("x"))
        await one.event("intercept_request")
    assert await stream.heard() == "x"
    assert await stream.said("y") == ["y"]


async def test_inputs_from_outside(wire: WireClient, stream: Streaming) -> None:
    await stream.begin("adds_a", "EchoNode", "adds_b")
    async with attached(wire, stream.session_id) as one:
        assert await stream.said("x") == ["xab"]
        await one.do(publish=pb.Publish(addr=at("n1", IN), data=text("y")))
        assert await stream.heard() == "yb"
        await one.do(publish=pb.Publish(addr=at("n0", IN, "main"), data=text("z")))
        assert await stream.heard() == "zab"


async def test_what_was_published_before_the_end_is_processed(
    wire: WireClient, stream: Streaming
) -> None:
    """A node's first value from outside comes by a lane that it doesn't have until then."""
    nodes = MIXED * 2
    await stream.begin(*nodes)
    async with attached(wire, stream.session_id) as one:
        assert await stream.said("x") == ["x"]
        for number in range(len(nodes)):
            await one.do(publish=pb.Publish(addr=at(f"n{number}", IN), data=text(str(number))))
        *results, closed = await stream.close()
        said = [one.result.data_outputs["n5"].text.text_data.decode() for one in results]
        assert sorted(filter(None, said)) == [str(number) for number in range(len(nodes))]
        assert closed.closed.reason == "completed"


async def test_what_is_published_lets_replies_overtake_it(
    wire: WireClient, stream: Streaming
) -> None:
    """The node is parked, and its lane full of what the same client has published."""
    await stream.begin("EchoNode", channel_capacity=2)
    async with attached(wire, stream.session_id) as one:
        await one.do(intercept=pb.Intercept(addr=at("n0"), deadline_ms=HOUR_MS))
        for number in range(6):
            publish = pb.Publish(addr=at("n0", IN), data=text(f"p{number}"))
            await one.send(publish=publish)
        for number in range(6):
            request = await one.event("intercept_request")
            assert request.data.text.text_data.decode() == f"p{number}"
            reply = pb.InterceptReply(correlation_id=request.correlation_id, decision=PASS)
            await one.send(intercept_reply=reply)
        assert [await stream.heard() for _ in range(6)] == [f"p{number}" for number in range(6)]


async def test_large_values_that_wait_for_their_node_are_few(
    wire: WireClient, stream: Streaming
) -> None:
    """One on its way, one that waits, and one that is read: by their number they'd be many."""
    value = common.DataBuffer(binary=common.BinaryBuffer(data=bytes(8 << 20)))
    await stream.begin("EchoNode", channel_capacity=1, max_message_bytes=8 << 20)
    async with attached(wire, stream.session_id) as one:
        await one.do(intercept=pb.Intercept(addr=at("n0"), deadline_ms=HOUR_MS))
        written = 0
        with contextlib.suppress(TimeoutError):
            for written in range(20):  # noqa: B007  # it is looked at afterwards
                async with asyncio.timeout(5):
                    await one.send(publish=pb.Publish(addr=at("n0", IN), data=value))
        assert written <= 5  # with two that the node has, or will take next


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (pb.NODE_STATE_ENABLED, ["yab"]),
        (pb.NODE_STATE_BYPASS, ["yb"]),
        (pb.NODE_STATE_DISABLED, []),
    ],
)
@pytest.mark.parametrize("middle", ["adds_a", "adds_a_apart"])
async def test_node_states(
    wire: WireClient, stream: Streaming, state: int, after: list[str], middle: str
) -> None:
    await stream.begin(middle, "adds_b")
    async with attached(wire, stream.session_id) as one:
        await one.do(subscribe=pb.Subscribe(addr=at("n1")))
        await one.do(set_node_state=pb.SetNodeState(node_id="n0", state=state))
        await stream.call.write(chunk("y"))
        await one.do(publish=pb.Publish(addr=at("n1", IN), data=text("!")))
        seen = {await stream.heard() for _ in range(len(after) + 1)}
        assert seen == {*after, "!b"}
        if not after:
            await stream.settled()  # else the state may change before the node has seen it
        await one.do(clear_node_state=pb.ClearNodeState(node_id="n0"))
        assert await stream.said("z") == ["zab"]


async def test_a_state_does_not_outlast_its_attachment(wire: WireClient, stream: Streaming) -> None:
    await stream.begin("adds_a", "adds_b")
    async with attached(wire, stream.session_id) as watcher:
        async with attached(wire, stream.session_id) as one:
            state = pb.SetNodeState(node_id="n0", state=pb.NODE_STATE_BYPASS)
            await one.do(set_node_state=state)
            assert await stream.said("x") == ["xb"]
        await watcher.do(subscribe=pb.Subscribe(addr=at("n0")))
        word = ""
        while word != "yab":
            [word] = await stream.said("y")


async def test_interrupts(wire: WireClient, stream: Streaming) -> None:
    """Whoever asks for one, everybody is told."""
    await stream.begin(*MIXED)
    async with (
        attached(wire, stream.session_id) as one,
        attached(wire, stream.session_id) as other,
    ):
        await one.do(interrupt=pb.Interrupt(node_id="n0"))
        await one.do(interrupt=pb.Interrupt())
        for each in (one, other):
            told = [await each.event("interrupted") for _ in range(2)]
            assert [(said.node_id, said.by, said.epoch) for said in told] == [
                ("n0", "", 1), ("", "", 2)
            ]  # fmt: skip
        assert await stream.said("x") == ["x"]


async def test_who_is_told_that_it_is_attached_misses_no_interrupt(
    wire: WireClient, stream: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = Session.attach
    delays = iter([0, 0.3])

    @asynccontextmanager
    async def slow(session: Session, *args: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(next(delays))
        async with attach(session, *args) as attachment:
            yield attachment

    monkeypatch.setattr(Session, "attach", slow)
    await stream.begin(*MIXED)
    async with (
        attached(wire, stream.session_id) as one,
        attached(wire, stream.session_id) as other,
    ):
        await one.do(interrupt=pb.Interrupt(node_id="n0"))
        for each in (one, other):
            assert (await each.event("interrupted")).epoch == 1


def _reply(number: int = 0, **decision: Any) -> dict[str, Any]:
    said = pb.InterceptReply(correlation_id=number, decision=pb.InterceptDecision(**decision))
    return {"intercept_reply": said}


UNKNOWN, ADDRESS, PROTOCOL = (
    pb.CONTROL_ERROR_CODE_UNKNOWN_NODE,
    pb.CONTROL_ERROR_CODE_INVALID_ADDRESS,
    pb.CONTROL_ERROR_CODE_PROTOCOL,
)
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"subscribe": pb.Subscribe(addr=at("n0", IN))}, ADDRESS, "expected OUT, got IN"),
    ({"subscribe": pb.Subscribe(addr=at("n0", 0))}, ADDRESS, "expected OUT, got 0"),
    ({"subscribe": pb.Subscribe(addr=at("n0", 9))}, ADDRESS, "expected OUT, got 9"),
    ({"subscribe": pb.Subscribe()}, ADDRESS, "expected a node"),
    ({"subscribe": pb.Subscribe(addr=at("n0", OUT, "aux"))}, ADDRESS, "one port, main, got 'aux'"),
    ({"subscribe": pb.Subscribe(addr=at("x"))}, UNKNOWN, "'x' (there are n0, n1, n2)"),
    ({"unsubscribe": pb.Unsubscribe(addr=at("n0", IN))}, ADDRESS, "expected OUT, got IN"),
    ({"unsubscribe": pb.Unsubscribe(addr=at("x"))}, UNKNOWN, "'x' (there are n0, n1, n2)"),
    ({"publish": pb.Publish(addr=at("n0"), data=text("x"))}, ADDRESS, "expected IN, got OUT"),
    ({"publish": pb.Publish(addr=at("x", IN), data=text("x"))}, UNKNOWN, "no node has the ID 'x'"),
    ({"publish": pb.Publish(addr=at("n0", IN))}, PROTOCOL, "publish.data: expected one of"),
    (
        {"publish": pb.Publish(addr=at("n0", IN), data=common.DataBuffer(json=common.JsonData()))},
        PROTOCOL,
        "publish.data.json",
    ),
    (
        {"publish": pb.Publish(addr=at("n0", IN), data=text("x"), timestamp_us=1 << 63)},
        PROTOCOL,
        "timestamp_us must be whole and below 2⁶³",
    ),
    ({"intercept": pb.Intercept(addr=at("n0", IN))}, ADDRESS, "expected OUT, got IN"),
    ({"intercept": pb.Intercept(addr=at("x"))}, UNKNOWN, "no node has the ID 'x'"),
    ({"remove_intercept": pb.RemoveIntercept(addr=at("n0", IN))}, ADDRESS, "expected OUT"),
    ({"remove_intercept": pb.RemoveIntercept(addr=at("x"))}, UNKNOWN, "no node has the ID 'x'"),
    (_reply(7, drop=pb.Empty()), PROTOCOL, "nothing was ever asked by the number 7"),
    (_reply(0, drop=pb.Empty()), PROTOCOL, "nothing was ever asked by the number 0"),
    (_reply(1), PROTOCOL, "decision: expected pass, replace or drop, got none"),
    (
        {"set_node_state": pb.SetNodeState(node_id="n0")},
        PROTOCOL,
        "state: expected ENABLED, BYPASS or DISABLED, got 0",
    ),
    ({"set_node_state": pb.SetNodeState(node_id="x", state=2)}, UNKNOWN, "no node has the ID 'x'"),
    ({"clear_node_state": pb.ClearNodeState(node_id="")}, UNKNOWN, "no node has the ID ''"),
    ({"interrupt": pb.Interrupt(node_id="x")}, UNKNOWN, "no node has the ID 'x'"),
    ({"interrupt": pb.Interrupt(node_id="x", overtakes=1)}, UNKNOWN, "no node has the ID 'x'"),
    ({"hello": pb.Hello(session_id="s")}, PROTOCOL, "hello: it may only be the first frame"),
    ({}, PROTOCOL, "expected a frame that says what to do, got none"),
]


async def test_what_is_refused_leaves_the_attachment_as_it_is(
    wire: WireClient, stream: Streaming
) -> None:
    await stream.begin(*MIXED)
    async with attached(wire, stream.session_id) as one:
        await one.do(subscribe=pb.Subscribe(addr=at("n1")))
        for op, code, message in REFUSED:
            error = await one.refused(**op)
            assert message in error.message, op
            assert error.code == code, op
            [said] = op.values() or [None]
            if said is not None and "addr" in said.DESCRIPTOR.fields_by_name:
                assert error.addr == said.addr
        assert await stream.said("x") == ["x"]
        assert await one.tapped() == "x"


async def test_inputs_that_a_node_does_not_take(wire: WireClient, stream: Streaming) -> None:
    await stream.begin("adds_a", "adds_b")
    async with attached(wire, stream.session_id) as one, attached(wire, stream.session_id) as two:
        number = common.DataBuffer(json=common.JsonData(json_payload="1"))
        error = await one.refused(publish=pb.Publish(addr=at("n0", IN), data=number))
        assert (error.code, error.message) == (PROTOCOL, "node 'n0' accepts text, got json")
        await one.do(intercept=pb.Intercept(addr=at("n0"), deadline_ms=HOUR_MS))
        error = await two.refused(intercept=pb.Intercept(addr=at("n0")))
        assert (error.code, error.message) == (ADDRESS, "node 'n0' is intercepted already")
        await stream.call.write(chunk("x"))
        asked = (await one.event("intercept_request")).correlation_id
        error = await one.refused(**_reply(asked, replace=number))
        assert (error.code, error.message) == (PROTOCOL, "node 'n0' gives text, got json")
        await two.do(**_reply(asked, drop=pb.Empty()))  # it is not the one who is asked
        await one.do(**_reply(asked, replace=text("y")))
        assert await stream.heard() == "yb"


@pytest.mark.parametrize("first", [b"", b"\xff\xff", None])
async def test_the_first_frame_has_to_be_hello(
    wire: WireClient, service: str, first: bytes | None
) -> None:
    async with grpc.aio.insecure_channel(service) as channel:
        call = channel.stream_stream("/remotemedia.v1.PipelineControl/Attach")()
        if first is None:
            await call.done_writing()
        else:
            await call.write(first)
        with pytest.raises(grpc.aio.AioRpcError, match="the first frame must be hello") as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_session_that_there_is_not(wire: WireClient, stream: Streaming) -> None:
    call = wire.attach(iter([hello("nobody")]))
    with pytest.raises(grpc.aio.AioRpcError, match="session 'nobody' not found") as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_client_that_has_had_enough(wire: WireClient, stream: Streaming) -> None:
    """The end of its frames is the end of its attachment."""
    await stream.begin(*MIXED)
    call = wire.attach()
    await call.write(hello(stream.session_id))
    await call.write(pb.ControlFrame(subscribe=pb.Subscribe(addr=at("n1"))))
    await call.write(pb.ControlFrame(subscribe=pb.Subscribe(addr=at("x"))))
    await call.done_writing()
    events, code = await ended(call)
    assert code is grpc.StatusCode.OK
    assert [event.WhichOneof("event") for event in events] == ["attached", "error"]
    assert await stream.said("x") == ["x"]


async def test_the_end_of_a_session_that_fails_or_is_left(
    wire: WireClient, stream: Streaming
) -> None:
    await stream.begin("adds_a", "dies_on_second")
    async with attached(wire, stream.session_id) as one:
        await one.do(intercept=pb.Intercept(addr=at("n0"), deadline_ms=HOUR_MS))
        await stream.call.write(chunk("x"))
        await one.event("intercept_request")  # it stays parked
        await one.send(publish=pb.Publish(addr=at("n1", IN), data=text("die")))
        closed = await one.event("session_closed")
        assert closed.reason == pb.CLOSE_REASON_CODE_ERROR
        assert "'n1'" in closed.detail
        assert await ended(one.call) == ([], grpc.StatusCode.OK)
    other = Streaming(wire.stream())
    await other.begin("PassThrough")
    async with attached(wire, other.session_id) as one:
        await other.call.write(CANCEL)
        closed = await one.event("session_closed")
        assert (closed.reason, closed.detail) == (
            pb.CLOSE_REASON_CODE_NORMAL, "session ended early: cancelled by the client"
        )  # fmt: skip
    await rest(other.call)


async def test_the_end_of_the_service(settings: Settings, catalogue: Catalogue) -> None:
    async with AsyncExitStack() as stack:
        async with running(settings, "127.0.0.1:0", catalogue) as address:
            wire = await stack.enter_async_context(WireClient(address))
            stream = Streaming(wire.stream())
            await stream.begin(*MIXED)
            one = await stack.enter_async_context(attached(wire, stream.session_id))
            await one.do(intercept=pb.Intercept(addr=at("n1"), deadline_ms=HOUR_MS))
            await stream.call.write(chunk("x"))
            await one.event("intercept_request")
        closed = await one.event("session_closed")
        assert closed.reason == pb.CLOSE_REASON_CODE_ERROR
        assert closed.detail == "session ended early: the service is stopping"
        assert await ended(one.call) == ([], grpc.StatusCode.OK)
    await calls_ended()


async def test_fifty_attachments(wire: WireClient, stream: Streaming) -> None:
    await stream.begin(*MIXED)
    calls = [wire.attach() for _ in range(50)]
    for call in calls:
        await call.write(hello(stream.session_id, acknowledge=True))
    many = [Attached(call) for call in calls]
    await asyncio.gather(*(one.do(subscribe=pb.Subscribe(addr=at("n1"))) for one in many))
    words = [str(number) for number in range(20)]
    assert await stream.said(*words) == words
    for one in many:
        assert [await one.tapped() for _ in words] == words
    await stream.close()
    for one in many:
        assert (await one.event("session_closed")).reason == pb.CLOSE_REASON_CODE_NORMAL


async def test_who_reads_slowly_loses_events_and_is_told(
    wire: WireClient, stream: Streaming
) -> None:
    """Far more goes by than fits between; the stream has all of it."""
    await stream.begin(*MIXED)
    async with attached(wire, stream.session_id) as one:
        await one.do(subscribe=pb.Subscribe(addr=at("n1")))
        filler = "x" * 100_000
        for number in range(600):
            assert await stream.said(f"{number} {filler}") == [f"{number} {filler}"]
        await stream.call.write(CLOSE)
        last = received = 0
        while True:
            event = await one.call.read()
            if event.WhichOneof("event") == "session_closed":
                break
            last, received = event.tap, received + 1
        assert received + last.lost == 600
        assert last.lost > 0
        assert last.sequence == 599
        await rest(stream.call)
