"""``Attach``: what each frame of a client does, and what each event holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from bus_client import HOUR_MS, IN, OUT, PASS, Attached
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from ledger import CASES, Case, fields_set, names_of, show, shows
from streams import read_until
from wire_client import CANCEL, CLOSE, WireClient, chunk, init, pipeline, rest, text

from penstock.errors import PenstockError
from penstock.wire.control import code_of
from penstock.wire.v1 import control_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution

TWICE = pipeline("flood_outputs", "PassThrough", params={"times": 2})
FIRST = pb.ControlAddress(node_id="n0", port="main", direction=OUT)
SECOND = pb.ControlAddress(node_id="n1", port="main", direction=IN)
FRAMES: dict[str, Message] = {
    "subscribe": pb.Subscribe(addr=FIRST),
    "unsubscribe": pb.Unsubscribe(addr=FIRST),
    "publish": pb.Publish(addr=SECOND, data=text("x")),
    "intercept": pb.Intercept(addr=FIRST, deadline_ms=HOUR_MS),
    "remove_intercept": pb.RemoveIntercept(addr=FIRST),
    "set_node_state": pb.SetNodeState(node_id="n0", state=pb.NODE_STATE_ENABLED),
    "clear_node_state": pb.ClearNodeState(node_id="n0"),
    "interrupt": pb.Interrupt(node_id="n0"),
}
"""One of each that can be sent at any time, by the field of ``ControlFrame``."""
seen: set[str] = set()
"""The fields that were set in some event of the cases below."""


class Watched(Attached):
    """An attachment to a session of its own; what is in its events is noted."""

    def __init__(self, wire: WireClient) -> None:
        super().__init__(wire.attach())
        self.stream = wire.stream()
        self.session_id = ""

    async def begin(self, manifest: execution.PipelineManifest, **hello: Any) -> pb.Attached:
        await self.stream.write(init(manifest))
        self.session_id = (await self.told("ready")).session_id
        greeting = {"session_id": self.session_id, "attach_id": "me", "acknowledge": True}
        said = pb.Hello(**{**greeting, **hello})
        await self.call.write(pb.ControlFrame(hello=said))
        return await self.event("attached")  # type: ignore[no-any-return]  # by its name

    async def read(self) -> Any:
        found = await super().read()
        if found is not grpc.aio.EOF:
            seen.update(fields_set(found))
        return found

    async def told(self, kind: str) -> Any:
        """The next response of the stream of that kind."""
        return getattr(await read_until(self.stream, kind), kind)

    async def heard(self) -> str:
        [buffer] = (await self.told("result")).data_outputs.values()
        return str(buffer.text.text_data.decode())

    async def say(self, word: str, **fields: Any) -> None:
        await self.stream.write(chunk(word, **fields))

    async def reply(self, request: pb.InterceptRequest, decision: pb.InterceptDecision) -> None:
        number = request.correlation_id
        await self.do(intercept_reply=pb.InterceptReply(correlation_id=number, decision=decision))

    async def end(self) -> pb.SessionClosed:
        """Close the stream; what the attachment is told of it."""
        await self.stream.write(CLOSE)
        await rest(self.stream)
        return await self.closed()

    async def closed(self) -> pb.SessionClosed:
        said: pb.SessionClosed = await self.event("session_closed")
        assert await self.read() is grpc.aio.EOF
        assert await self.call.code() is grpc.StatusCode.OK
        return said


@shows(
    "ControlFrame.hello",
    "Hello.session_id",
    "Hello.attach_id",
    "Hello.acknowledge",
    "ControlEvent.attached",
    "Attached.session_id",
    "Attached.attach_id",
    "ControlEvent.session_closed",
    "SessionClosed.reason",
    "CloseReasonCode.CLOSE_REASON_CODE_NORMAL",
)
async def an_attachment_to_the_end_of_its_session(wire: WireClient) -> None:
    one = Watched(wire)
    said = await one.begin(pipeline("PassThrough"), acknowledge=False)
    assert (said.session_id, said.attach_id) == (one.session_id, "me")
    await one.send(subscribe=pb.Subscribe(addr=pb.ControlAddress(node_id="n0", direction=OUT)))
    error = await one.refused(interrupt=pb.Interrupt(node_id="?"))
    assert error.message, "and the frame before it was not acknowledged"
    assert (await one.end()).reason == pb.CLOSE_REASON_CODE_NORMAL


@shows(
    "SessionClosed.detail",
    "CloseReasonCode.CLOSE_REASON_CODE_ERROR",
    "CloseReasonCode.CLOSE_REASON_CODE_UNSPECIFIED",
)
async def a_session_that_fails_and_one_that_is_cancelled(wire: WireClient) -> None:
    one, two = Watched(wire), Watched(wire)
    await one.begin(pipeline("raise_in_process"))
    await one.say("x")
    failed = await one.closed()
    assert failed.reason == pb.CLOSE_REASON_CODE_ERROR
    assert "'n0'" in failed.detail
    await rest(one.stream)
    await two.begin(pipeline("PassThrough"))
    await two.stream.write(CANCEL)
    left = await two.closed()
    assert left.reason == pb.CLOSE_REASON_CODE_NORMAL, "never unspecified"
    assert "cancelled by the client" in left.detail
    await rest(two.stream)


@shows(
    "ControlFrame.subscribe",
    "ControlFrame.unsubscribe",
    "Subscribe.addr",
    "Unsubscribe.addr",
    "ControlEvent.acknowledged",
    "Acknowledged.frame",
    "ControlEvent.tap",
    "TapEvent.addr",
    "TapEvent.data",
    "TapEvent.sequence",
    "TapEvent.part",
    "TapEvent.timestamp_us",
    "ControlAddress.node_id",
    "ControlAddress.port",
    "ControlAddress.direction",
    "ControlDirection.CONTROL_DIRECTION_OUT",
)
async def what_a_node_gives_is_shown(wire: WireClient) -> None:
    one = Watched(wire)
    await one.begin(TWICE)
    await one.do(subscribe=pb.Subscribe(addr=FIRST))
    await one.say("x", sequence=7, timestamp_ms=5)
    taps = [await one.event("tap") for _ in range(2)]
    assert [(tap.sequence, tap.part, tap.timestamp_us) for tap in taps] == [
        (7, 0, 5000),
        (7, 1, 5000),
    ]
    assert all(tap.addr == FIRST and tap.data.text.text_data == b"x" for tap in taps)
    await one.do(unsubscribe=pb.Unsubscribe(addr=FIRST))
    await one.say("y", sequence=8)
    assert [await one.heard() for _ in range(4)] == ["x", "x", "y", "y"]
    await one.end()
    with pytest.raises(AssertionError, match="it ended"):
        await one.event("tap")


@shows("TapEvent.lost")
async def who_reads_late_is_told_what_was_lost(wire: WireClient) -> None:
    """More than a tap keeps, of which the client reads nothing while it comes."""
    one, count, filler = Watched(wire), 40, "x" * (1 << 20)
    await one.begin(pipeline("PassThrough"))
    await one.do(subscribe=pb.Subscribe(addr=FIRST))
    for number in range(count):
        await one.say(filler, sequence=number + 1)
        await one.heard()
    await one.stream.write(CLOSE)
    taps = []
    while not taps or taps[-1].sequence < count:
        taps.append(await one.event("tap"))
    assert len(taps) + taps[-1].lost == count
    assert taps[-1].lost > 0
    await rest(one.stream)
    assert [tap.lost for tap in (await one.closed()).taps] == [taps[-1].lost]


@shows("SessionClosed.taps", "TapEnd.addr", "TapEnd.lost")
async def what_is_lost_after_the_last_event_is_told_in_the_end(wire: WireClient) -> None:
    """Three outputs behind the one that is shown are larger than a message may be."""
    one = Watched(wire)
    await one.begin(pipeline("says_too_much", "adds_b", max_message_bytes=500_000))
    second = pb.ControlAddress(node_id="n1", direction=OUT)
    for addr in (FIRST, second):
        await one.do(subscribe=pb.Subscribe(addr=addr))
    await one.say("x")
    assert await one.heard() == "xb"
    closed = await one.end()
    assert [(tap.addr, tap.lost) for tap in closed.taps] == [(FIRST, 3), (second, 0)]
    taps = [await one.event("tap") for _ in range(2)]
    assert [tap.lost for tap in taps] == [0, 0]


@shows(
    "ControlFrame.publish",
    "Publish.addr",
    "Publish.data",
    "ControlDirection.CONTROL_DIRECTION_IN",
)
async def an_input_from_outside(wire: WireClient) -> None:
    one = Watched(wire)
    await one.begin(TWICE)
    await one.say("x", sequence=7)
    assert [await one.heard() for _ in range(2)] == ["x", "x"]
    await one.do(publish=pb.Publish(addr=SECOND, data=text("y")))
    assert await one.heard() == "y"
    await one.end()


@shows(
    "ControlFrame.intercept",
    "ControlFrame.intercept_reply",
    "ControlFrame.remove_intercept",
    "Intercept.addr",
    "Intercept.deadline_ms",
    "RemoveIntercept.addr",
    "InterceptReply.correlation_id",
    "InterceptReply.decision",
    "InterceptDecision.pass",
    "InterceptDecision.replace",
    "InterceptDecision.drop",
    "ControlEvent.intercept_request",
    "InterceptRequest.addr",
    "InterceptRequest.correlation_id",
    "InterceptRequest.data",
)
async def what_a_node_gives_is_decided_about(wire: WireClient) -> None:
    one = Watched(wire)
    await one.begin(TWICE)
    await one.do(intercept=pb.Intercept(addr=FIRST, deadline_ms=HOUR_MS))
    await one.say("x", sequence=7, timestamp_ms=5)
    await one.say("y", sequence=8)
    replace = pb.InterceptDecision(replace=text("new"))
    asked = []
    for decision in (replace, pb.InterceptDecision(drop=pb.Empty()), PASS, PASS):
        request = await one.event("intercept_request")
        assert request.addr == FIRST
        asked.append(request.data.text.text_data.decode())
        await one.reply(request, decision)
        await one.reply(request, decision)  # too late: it changes nothing
    assert asked == ["x", "x", "y", "y"]
    assert [await one.heard() for _ in range(3)] == ["new", "y", "y"]
    await one.do(remove_intercept=pb.RemoveIntercept(addr=FIRST))
    await one.say("z", sequence=9)
    assert await one.heard() == "z"
    await one.do(intercept=pb.Intercept(addr=FIRST, deadline_ms=1))
    await one.say("late", sequence=10)
    assert [await one.heard() for _ in range(3)] == ["z", "late", "late"], "its time is up"
    await one.end()


@shows(
    "ControlFrame.set_node_state",
    "ControlFrame.clear_node_state",
    "SetNodeState.node_id",
    "SetNodeState.state",
    "ClearNodeState.node_id",
    "NodeState.NODE_STATE_ENABLED",
    "NodeState.NODE_STATE_BYPASS",
    "NodeState.NODE_STATE_DISABLED",
    "NodeState.NODE_STATE_UNSPECIFIED",
)
async def nodes_that_are_left_out(wire: WireClient) -> None:
    one = Watched(wire)
    await one.begin(TWICE)
    states = ((pb.NODE_STATE_BYPASS, 1), (pb.NODE_STATE_DISABLED, 0), (pb.NODE_STATE_ENABLED, 2))
    for number, (state, times) in enumerate(states, start=1):
        await one.do(set_node_state=pb.SetNodeState(node_id="n0", state=state))
        await one.say(str(state), sequence=number)
        await one.do(publish=pb.Publish(addr=SECOND, data=text("!")))
        heard = sorted([await one.heard() for _ in range(times + 1)])
        assert heard == ["!"] + [str(state)] * times
    await one.do(set_node_state=pb.SetNodeState(node_id="n0", state=pb.NODE_STATE_DISABLED))
    await one.do(clear_node_state=pb.ClearNodeState(node_id="n0"))
    await one.say("again", sequence=4)
    assert [await one.heard() for _ in range(2)] == ["again"] * 2
    error = await one.refused(set_node_state=pb.SetNodeState(node_id="n0"))
    assert error.code == pb.CONTROL_ERROR_CODE_PROTOCOL
    await one.end()


@shows("ControlFrame.interrupt", "Interrupt.node_id", "ControlEvent.interrupted")
async def an_attachment_that_interrupts(wire: WireClient) -> None:
    one = Watched(wire)
    await one.begin(TWICE)
    await one.do(interrupt=pb.Interrupt(node_id="n0"))
    told = await one.event("interrupted")
    assert (told.node_id, told.by, told.epoch, list(told.sinks)) == ("n0", "", 1, ["n1"])
    await one.end()


@shows(
    "ControlEvent.error",
    "ErrorEvent.code",
    "ErrorEvent.message",
    "ErrorEvent.addr",
    "ControlDirection.CONTROL_DIRECTION_UNSPECIFIED",
    "ControlErrorCode.CONTROL_ERROR_CODE_UNKNOWN_NODE",
    "ControlErrorCode.CONTROL_ERROR_CODE_INVALID_ADDRESS",
    "ControlErrorCode.CONTROL_ERROR_CODE_PROTOCOL",
    "ControlErrorCode.CONTROL_ERROR_CODE_UNSPECIFIED",
)
async def frames_that_are_refused(wire: WireClient) -> None:
    one = Watched(wire)
    await one.begin(TWICE)
    for addr, code, message in (
        (pb.ControlAddress(node_id="?", direction=OUT), pb.CONTROL_ERROR_CODE_UNKNOWN_NODE, "'?'"),
        (pb.ControlAddress(node_id="n0"), pb.CONTROL_ERROR_CODE_INVALID_ADDRESS, "expected OUT"),
        (SECOND, pb.CONTROL_ERROR_CODE_INVALID_ADDRESS, "got IN"),
    ):
        error = await one.refused(subscribe=pb.Subscribe(addr=addr))
        assert (error.code, error.addr) == (code, addr)
        assert message in error.message
    error = await one.refused()
    assert (error.code, error.HasField("addr")) == (pb.CONTROL_ERROR_CODE_PROTOCOL, False)
    await one.do(subscribe=pb.Subscribe(addr=FIRST))
    await one.end()


@shows("ControlErrorCode.CONTROL_ERROR_CODE_INTERNAL")
async def what_nobody_foresaw(_wire: WireClient) -> None:
    """No frame brings it about; here is how it would be told."""
    assert code_of(PenstockError("?")) == pb.CONTROL_ERROR_CODE_INTERNAL


@shows(
    "ControlErrorCode.CONTROL_ERROR_CODE_SESSION_NOT_FOUND",
    "ControlErrorCode.CONTROL_ERROR_CODE_UNAUTHORIZED",
)
async def what_is_told_by_the_status(wire: WireClient) -> None:
    """Others' sessions look as if they were not there, so that no event says that one may not."""
    call = wire.attach(iter([pb.ControlFrame(hello=pb.Hello(session_id="nobody"))]))
    with pytest.raises(grpc.aio.AioRpcError, match="session 'nobody' not found") as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def _within(message: Descriptor) -> Iterator[Descriptor]:
    """A message of the file, and those that it is made of."""
    if message.file is pb.DESCRIPTOR:
        yield message
        for field in message.fields:
            if field.message_type is not None:
                yield from _within(field.message_type)


def _is_in_some_event(name: str) -> Case:
    """For what no case above looks at: it is set by what they bring about."""

    async def case(wire: WireClient) -> None:
        for other in _LOOKED_AT:
            await show(other, wire)
        assert name in seen

    case.__module__ = __name__
    return case


def _is_taken(op: FieldDescriptor, field: FieldDescriptor) -> Case:
    """For what no case above sends: a frame that has it is still obeyed."""

    async def case(wire: WireClient) -> None:
        one = Watched(wire)
        await one.begin(TWICE, **({field.name: _sample(field)} if op.name == "hello" else {}))
        if op.name != "hello":
            frame = type(FRAMES[op.name])()
            frame.CopyFrom(FRAMES[op.name])
            frame.MergeFrom(type(frame)(**{field.name: _sample(field)}))
            await one.do(**{op.name: frame})
        await one.end()

    case.__module__ = __name__
    return case


def _sample(field: FieldDescriptor) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return b"x" if field.type == FieldDescriptor.TYPE_BYTES else "x"
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return {}
        case _:
            return 1


_LOOKED_AT = [name for name, case in CASES.items() if case.__module__ == __name__]
for told in {one.full_name: one for one in _within(pb.ControlEvent.DESCRIPTOR)}.values():
    for name in names_of(told):
        if name not in CASES:
            shows(name)(_is_in_some_event(name))
for op in pb.ControlFrame.DESCRIPTOR.fields:
    for field in op.message_type.fields:
        if f"{op.message_type.name}.{field.name}" not in CASES:
            shows(f"{op.message_type.name}.{field.name}")(_is_taken(op, field))
