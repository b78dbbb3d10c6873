"""``PipelineControl``: watching and changing a session that runs, from outside it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from penstock.data import VALUE_BYTES, Value
from penstock.errors import InputError, PenstockError, SessionCancelledError, SessionClosedError
from penstock.service.admission import Admission
from penstock.service.call_log import CallLog
from penstock.service.callers import caller_of
from penstock.service.endings import ending_of
from penstock.service.events import LAST_EVENTS_S, Events
from penstock.service.inbox import Inbox
from penstock.service.opening import Openings
from penstock.service.requests import HEAR_OUT_S, read_request
from penstock.service.status import (
    MOST_NAME,
    Context,
    Ending,
    EndingError,
    abort,
    abort_invalid,
    abort_unforeseen,
)
from penstock.session import DEADLINE_S, Attachment, Intercept, NodeState, Session, Tap
from penstock.wire import control as wire
from penstock.wire.buffers import decode
from penstock.wire.control import Done
from penstock.wire.json_texts import JsonTexts
from penstock.wire.methods import ATTACH
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import control_pb2 as pb

CONFIRMED_AHEAD = 64
"""Frames that may wait for being heeded by their nodes, be they answered or not; then nothing more
is read. Each may have laid a lane, whose end waits for the node."""


class ControlServicer:
    """Answers ``Attach``; any number of calls may be attached to a session."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def attach(self, _frames: AsyncIterator[pb.ControlFrame], context: Context) -> None:
        """Serve one client, until it leaves or its session ends."""
        log = CallLog(ATTACH.name, context.peer())
        try:
            hello = await _read_hello(context, self._admission.opening.small)
            log.session_id = hello.session_id
            await self._serve(hello, context)
        except (asyncio.CancelledError, SessionCancelledError):
            log.left()
            raise
        except grpc.aio.AbortError:
            raise
        except EndingError as exc:
            log.failed(exc)
            await abort(context, exc.ending)
        except Exception as exc:  # noqa: BLE001  # the last place that can log it and say so
            log.failed(exc)
            await abort_unforeseen(context)

    async def _serve(self, hello: pb.Hello, context: Context) -> None:
        """Attach a client, or tell it of the end; to others it is as if nothing had been there."""
        session_id, caller = hello.session_id, caller_of(context)
        session = self._admission.running(session_id)
        ending = self._admission.endings.of(session_id, caller)
        if session is not None and self._admission.may_see(caller, session_id):
            await ControlCall(session, hello, context, self._admission).serve()
        elif ending is not None:
            with contextlib.suppress(TimeoutError):  # it doesn't read
                async with asyncio.timeout(LAST_EVENTS_S):
                    await Events(context).write(ending)
        else:
            said = f"session {session_id[:200]!r} not found"
            await abort(context, Ending(grpc.StatusCode.NOT_FOUND, said))


async def _read_hello(context: Context, openings: Openings) -> pb.Hello:
    found: str
    try:
        frame = await openings.read_or_end(context)
        found = "nothing" if frame is grpc.aio.EOF else frame.WhichOneof("op") or "nothing"
    except InputError as exc:
        found = str(exc)
    if found != "hello":
        said = f"the first frame must be hello, got {found}"
        await abort_invalid(context, said)
    hello: pb.Hello = frame.hello
    for field in ("session_id", "attach_id"):  # they are kept, and logged
        if (length := len(getattr(hello, field))) > MOST_NAME:
            said = f"hello.{field}: at most {MOST_NAME} characters, got {length}"
            await abort_invalid(context, said)
    return hello


class ControlCall:
    """One attachment: frames are obeyed in their order, and one that is refused harms no other."""

    def __init__(
        self, session: Session, hello: pb.Hello, context: Context, admission: Admission
    ) -> None:
        self._session = session
        self._hello = hello
        self._context = context
        self._admission = admission
        self._events = Events(context)
        self._taps: dict[str, tuple[pb.ControlAddress, Tap]] = {}
        self._tap_ends: list[pb.TapEnd] = []
        self._intercepts: dict[str, Intercept] = {}
        self._published: Inbox[tuple[int, pb.Publish]] = Inbox()
        self._confirming = asyncio.Semaphore(CONFIRMED_AHEAD)
        self._reading: asyncio.Task[None] | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._ending = False

    async def serve(self) -> None:
        """Until the client has left, or everything was told of a session that is over."""
        try:
            if await self._until_over():
                async with asyncio.timeout(LAST_EVENTS_S):
                    await self._events.say(self._closed())
                await self._hear_out()
        except TimeoutError:
            return  # it doesn't read
        finally:
            await self._stop()
            await self._events.abandon()

    async def _until_over(self) -> bool:
        """False where it was the client that has had enough."""
        try:
            async with self._session.attach(self._events.note) as attachment:
                attached = wire.attached(self._hello)  # it misses nothing from here on
                self._events.begin(self._events.write(attached))
                over = await self._converse(attachment)
                if over:
                    await self._events.finish()
                    self._tap_ends = [wire.tap_end(*shown) for shown in self._taps.values()]
                return over
        except PenstockError as exc:
            if self._is_end(exc):
                return True
            raise

    async def _converse(self, attachment: Attachment) -> bool:
        over = asyncio.create_task(attachment.until_over())
        reading = asyncio.create_task(self._read(attachment))
        publishing = asyncio.create_task(self._publish(attachment))
        self._reading = reading
        self._tasks = (over, reading, publishing)
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            await (reading if reading.done() else publishing)  # raises what it failed with
        self._ending = True
        return over.done()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = ()  # their tracebacks lead back here, and to what was published

    async def _hear_out(self) -> None:
        """Read what the client still writes, for a while; it ends that when it is told of the end.

        One that writes when its call has ended loses what it was sent, the last word before all.
        Only who has each frame answered is sure to write for as long as it isn't told.
        """
        if self._hello.acknowledge and self._reading is not None:
            await asyncio.wait([self._reading], timeout=HEAR_OUT_S)

    def _is_end(self, error: PenstockError) -> bool:
        """Whether it says no more than that the session is over."""
        return isinstance(error, SessionClosedError) or error is self._session.failure

    def _closed(self) -> pb.ControlEvent:
        return ending_of(self._session, self._tap_ends, stopping=self._admission.stopping)

    async def _read(self, attachment: Attachment) -> None:
        """Frames as they come, up to the client's end; ``Hello`` was number 0.

        A value that is published has its own time: frames behind it may be what makes room for it.
        Those that wait for their nodes meanwhile are bounded by their bytes, but for one.
        """
        for number in itertools.count(1):
            try:
                frame = await read_request(self._context)
            except EndingError:
                raise  # nothing more can be read
            except InputError as exc:
                await self._refuse(exc, None, number)
                continue
            if frame is grpc.aio.EOF:
                return
            if self._ending:
                continue  # nobody is there any more who could do it
            if frame.HasField("publish"):
                said = frame.publish
                await self._published.put((number, said), said.ByteSize() + VALUE_BYTES)
            else:
                work = self._obey(attachment, frame)
                await self._attempt(attachment, number, wire.address_of(frame), work)

    async def _attempt(
        self,
        attachment: Attachment,
        number: int,
        addr: pb.ControlAddress | None,
        work: Awaitable[Done],
    ) -> None:
        """Do what a frame says, and tell what came of it; the session's end is told elsewhere."""
        try:
            done = await work
        except PenstockError as exc:
            if not self._is_end(exc):
                await self._refuse(exc, addr, number)
        else:
            if self._hello.acknowledge or done.heeds is not None:
                await self._confirming.acquire()
                self._events.begin(self._confirm(attachment, number, done))

    async def _refuse(
        self, error: PenstockError, addr: pb.ControlAddress | None, number: int
    ) -> None:
        if not self._ending:  # its end is the last that is told
            await self._events.say(wire.refused(error, addr, number))

    async def _confirm(self, attachment: Attachment, number: int, done: Done) -> None:
        """Wait until its node has heeded a frame, if it is a node's to do so; and tell of that."""
        try:
            if done.heeds is not None:
                await attachment.confirmed(done.heeds)
            if self._hello.acknowledge:
                await self._events.write(wire.acknowledged(number, done))
        except SessionCancelledError:
            raise  # nobody is there to be told
        except PenstockError as exc:
            if not self._is_end(exc):
                await self._events.write(wire.refused(exc, None, number))
        finally:
            self._confirming.release()

    async def _obey(self, attachment: Attachment, frame: pb.ControlFrame) -> Done:
        """What a frame says."""
        op = frame.WhichOneof("op")
        if op is None:
            raise wire.protocol_error("expected a frame that says what to do, got none")
        return await _OPERATIONS[op](self, attachment, getattr(frame, op))

    async def _greet(self, _attachment: Attachment, _said: pb.Hello) -> Done:
        raise wire.protocol_error("hello: it may only be the first frame")

    async def _subscribe(self, attachment: Attachment, said: pb.Subscribe) -> Done:
        node_id = wire.node_at(said.addr, pb.CONTROL_DIRECTION_OUT)
        if node_id not in self._taps:
            tap = attachment.tap_nowait(node_id)
            self._taps[node_id] = said.addr, tap
            self._events.show(said.addr, tap)
        return Done(heeds=node_id)

    async def _unsubscribe(self, attachment: Attachment, said: pb.Unsubscribe) -> Done:
        """What is not there, or no more, need not be ended; the node has to be there."""
        node_id = wire.node_at(said.addr, pb.CONTROL_DIRECTION_OUT)
        attachment.check_node(node_id)
        shown = self._taps.pop(node_id, None)
        if shown is not None:
            shown[1].close()
        return Done()

    async def _intercept(self, attachment: Attachment, said: pb.Intercept) -> Done:
        node_id = wire.node_at(said.addr, pb.CONTROL_DIRECTION_OUT)
        deadline_s = said.deadline_ms / 1e3 or DEADLINE_S
        intercept = self._intercepts[node_id] = attachment.intercept_nowait(node_id, deadline_s)
        self._events.ask(said.addr, intercept)
        return Done(heeds=node_id)

    async def _remove_intercept(self, attachment: Attachment, said: pb.RemoveIntercept) -> Done:
        """The same of an intercept."""
        node_id = wire.node_at(said.addr, pb.CONTROL_DIRECTION_OUT)
        attachment.check_node(node_id)
        intercept = self._intercepts.pop(node_id, None)
        if intercept is not None:
            intercept.close()
        return Done()

    async def _decide(self, attachment: Attachment, said: pb.InterceptReply) -> Done:
        """A verdict; one that comes too late changes nothing, and is no fault."""
        decision = said.decision.WhichOneof("decision")
        if decision is None:
            raise wire.protocol_error("decision: expected pass, replace or drop, got none")
        request = attachment.request(said.correlation_id)
        if decision == "replace":
            value = await self._value(said.decision.replace, "decision.replace")
            counts = request is not None and request.replace(value)
        elif decision == "pass":
            counts = request is not None and request.let_pass()
        else:
            counts = request is not None and request.drop()
        return Done(late=not counts)

    async def _set_state(self, attachment: Attachment, said: pb.SetNodeState) -> Done:
        attachment.set_state_nowait(said.node_id, wire.decode_state(said.state))
        return Done(heeds=said.node_id)

    async def _clear_state(self, attachment: Attachment, said: pb.ClearNodeState) -> Done:
        attachment.set_state_nowait(said.node_id, NodeState.ENABLED)
        return Done(heeds=said.node_id)

    async def _interrupt(self, attachment: Attachment, said: pb.Interrupt) -> Done:
        """One that comes beside a stream, which has read it itself by now, changes nothing."""
        if said.node_id:
            attachment.check_node(said.node_id)
        course = self._admission.courses.get(self._session) if said.overtakes else None
        if course is not None and said.overtakes > course.farthest:
            read = f"as {course.read} messages of the stream have been read"
            expected = f"expected at most {course.farthest}, {read}"
            raise wire.protocol_error(f"overtakes: {expected}, got {said.overtakes}")
        if said.overtakes and (course is None or not course.lies_ahead(said.overtakes)):
            return Done(late=True)
        epoch = await self._session.interrupt(said.node_id or None)
        if course is not None:
            course.overtake(said.overtakes, everything=not said.node_id)
        return Done(epoch=epoch)

    async def _publish(self, attachment: Attachment) -> None:
        """Values, in their order; each waits for room at its node."""
        while (published := await self._published.take()) is not None:
            number, said = published
            await self._attempt(attachment, number, said.addr, self._give(attachment, said))

    async def _give(self, attachment: Attachment, said: pb.Publish) -> Done:
        node_id = wire.node_at(said.addr, pb.CONTROL_DIRECTION_IN)
        value = await self._value(said.data, "publish.data")
        sequence = await attachment.publish(node_id, value, timestamp_us=said.timestamp_us)
        return Done(sequence=sequence)

    async def _value(self, buffer: common.DataBuffer, where: str) -> Value:
        await self._admission.files.load([(where, buffer)])
        largest = self._session.plan.configuration.max_message_bytes
        return decode(buffer, where, texts=JsonTexts(largest))


_OPERATIONS: dict[str, Callable[[ControlCall, Attachment, Any], Awaitable[Done]]] = {
    "hello": ControlCall._greet,
    "subscribe": ControlCall._subscribe,
    "unsubscribe": ControlCall._unsubscribe,
    "intercept": ControlCall._intercept,
    "remove_intercept": ControlCall._remove_intercept,
    "intercept_reply": ControlCall._decide,
    "set_node_state": ControlCall._set_state,
    "clear_node_state": ControlCall._clear_state,
    "interrupt": ControlCall._interrupt,
}
"""What is done for each kind of frame; values that are published are taken elsewhere."""
