"""Somebody who watches and changes a session of a service, from outside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from penstock.client.control_call import ControlCall
from penstock.client.duplex import DuplexCall
from penstock.client.intercepts import Intercept
from penstock.client.taps import Tap, Watch
from penstock.client.values import Sendable, as_value
from penstock.errors import PenstockError
from penstock.session import DEADLINE_S, Interruption, NodeState
from penstock.wire import control_frames as wire
from penstock.wire.interrupts import decode_interruption
from penstock.wire.v1 import control_pb2 as pb


class Attachment:
    """Taps, intercepts and node states of one party, in a session that somebody else streams.

    ::

        async with client.attach(session_id) as attachment:
            async for event in await attachment.tap("asr"):
                print(event.sequence, event.value)

    It is to the client what a session's own ``Attachment`` is to a program that runs it. Each
    method waits until it has taken effect: where it is a node's to heed it, until the node has,
    which one that computes does afterwards. It raises what that would: ``UnknownNodeError`` for a
    node that there is not, and so on. A call that is given up may have its effect all the same.

    When the session is over, taps and intercepts end, and what is asked raises why: a
    ``ServiceError`` where it failed, ``SessionCancelledError`` where its client ended it early,
    else ``SessionClosedError``. When the call breaks, all of them raise its ``ServiceError``.
    Leaving the block removes what was set up. A callback that raises ends the attachment, and
    who reads or asks gets what it raised.
    """

    def __init__(
        self,
        method: Callable[[], DuplexCall],
        hello: pb.ControlFrame,
        on_interrupt: Callable[[Interruption], None] | None,
    ) -> None:
        self.session_id = hello.hello.session_id
        self.attach_id = hello.hello.attach_id
        self._method = method
        self._hello = hello
        self._on_interrupt = on_interrupt
        self._call = ControlCall(self._take, self._end)
        self._watches: dict[str, Watch] = {}
        self._intercepts: dict[str, Intercept] = {}

    async def __aenter__(self) -> Self:
        attached = await self._call.open(self._method, self._hello)
        self.session_id, self.attach_id = attached.session_id, attached.attach_id
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._call.leave()

    async def until_over(self) -> None:
        """Wait for the end of the session; whatever came before it can be read."""
        await self._call.until_over()

    async def tap(self, node_id: str) -> Tap:
        """See what a node gives, as it gives it: before an intercept changes it."""
        self._call.check()
        tap = Tap(node_id, self._untap)
        self._watches.setdefault(node_id, Watch()).taps.add(tap)
        try:
            await self._call.ask(wire.subscribe(node_id), node_id)
        except BaseException as exc:
            self._give_back(tap, exc)
            raise
        return tap

    async def intercept(self, node_id: str, deadline_s: float = DEADLINE_S) -> Intercept:
        """Decide about each output of a node before it goes on.

        A second one takes the place of the first. Raises ``NodeAddressError`` where somebody
        else intercepts that node, ``InputError`` for a deadline that is none.
        """
        self._call.check()
        frame = wire.intercept(node_id, deadline_s)
        intercept = Intercept(node_id, deadline_s, self._call.ask, self._let_pass)
        former, self._intercepts[node_id] = self._intercepts.get(node_id), intercept
        if former is not None:
            former.end(None)
        try:
            await self._call.ask(frame, node_id)
        except BaseException as exc:
            if self._drop_intercept(intercept) and not isinstance(exc, PenstockError):
                self._call.frames.tell(wire.remove_intercept(node_id))
            raise
        return intercept

    async def publish(self, node_id: str, value: Sendable, *, timestamp_us: int = 0) -> int:
        """Give a node an input that comes from nowhere else; wait while it has no room.

        It carries the sequence number of the session's last input, which is returned. Raises
        ``NodeAddressError`` for a node that takes none, and ``InvalidValueError`` for a value
        that the node doesn't take.
        """
        frame = wire.publish(node_id, as_value(value, node_id), timestamp_us)
        return (await self._call.ask(frame, node_id)).sequence

    async def set_state(self, node_id: str, state: NodeState) -> None:
        """Have a node work on its inputs, or leave it out, for as long as this attachment lasts.

        Where several attachments have a say, the last one counts. Raises ``InputError`` for what
        is no state.
        """
        await self._call.ask(wire.set_state(node_id, state), node_id)

    async def interrupt(self, node_id: str | None = None) -> int:
        """Stop what is downstream of a node for the current turn (barge-in); see ``Session``.

        None names the client: all is given up that the service has read of the stream. Gives the
        number of the interrupt.
        """
        return (await self._call.ask(wire.interrupt(node_id), node_id or "")).epoch

    async def overtake(self, node_id: str | None, messages: int) -> bool:
        """As ``Stream.interrupt``, past what the service has yet to read of the session's stream.

        It is heeded as if it came behind so many ``messages`` of the stream, ``init`` among them.
        False where the service has read as many: nothing has been done.
        """
        frame = wire.interrupt(node_id, messages)
        return not (await self._call.ask(frame, node_id or "")).late

    def _give_back(self, tap: Tap, reason: BaseException) -> None:
        """Nobody has got it; the service may show the node all the same, unless it refused."""
        if not self._drop_tap(tap):
            return
        if isinstance(reason, PenstockError):
            del self._watches[tap.node_id]  # of a node that there is not, say
        else:
            self._call.frames.tell(wire.unsubscribe(tap.node_id))

    async def _untap(self, tap: Tap) -> None:
        if self._drop_tap(tap):
            await self._undo(wire.unsubscribe(tap.node_id))

    async def _let_pass(self, intercept: Intercept) -> None:
        if self._drop_intercept(intercept):
            await self._undo(wire.remove_intercept(intercept.node_id))

    async def _undo(self, frame: pb.ControlFrame) -> None:
        """Where the session or the call has ended, all of it is gone by itself."""
        if self._call.over.is_set():
            return
        try:
            await self._call.frames.ask(frame, surely=True)
        except PenstockError:
            if not self._call.over.is_set():
                raise

    def _drop_tap(self, tap: Tap) -> bool:
        """Whether it was there, and the last of its node."""
        watch = self._watches.get(tap.node_id)
        if watch is None or tap not in watch.taps:
            return False
        watch.taps.discard(tap)
        return not watch.taps

    def _drop_intercept(self, intercept: Intercept) -> bool:
        """Whether it is what decides, and not another one in its place."""
        if self._intercepts.get(intercept.node_id) is not intercept:
            return False
        del self._intercepts[intercept.node_id]
        return True

    def _take(self, event: pb.ControlEvent) -> None:
        match event.WhichOneof("event"):
            case "acknowledged":
                self._heeded(event.acknowledged)
            case "error":
                self._refused(event.error)
            case "tap" if event.tap.addr.node_id in self._watches:
                self._watches[event.tap.addr.node_id].note(event.tap)
            case "intercept_request":
                said = event.intercept_request
                intercept = self._intercepts.get(said.addr.node_id)
                if intercept is not None:
                    intercept.note(said)
            case "session_closed":
                for end in event.session_closed.taps:
                    if end.addr.node_id in self._watches:
                        self._watches[end.addr.node_id].miss(end.lost)
            case "interrupted" if self._on_interrupt is not None:
                self._on_interrupt(decode_interruption(event.interrupted))

    def _heeded(self, said: pb.Acknowledged) -> None:
        asked = self._call.frames.acknowledge(said)
        if asked is not None and asked.frame.HasField("unsubscribe"):
            watch = self._watches.get(asked.frame.unsubscribe.addr.node_id)
            if watch is not None:
                watch.restart()

    def _refused(self, said: pb.ErrorEvent) -> None:
        """An error that is no frame's is about an output that can't be shown."""
        if self._call.frames.refuse(said):
            return
        watch = self._watches.get(said.addr.node_id)
        if watch is not None:
            watch.refuse(wire.decode_refusal(said, said.addr.node_id))

    def _end(self, failure: Exception | None) -> None:
        for watch in self._watches.values():
            watch.end(failure)
        for intercept in self._intercepts.values():
            intercept.end(failure)
