"""What lies between the client's side of a running session and single nodes of it.

One lane each shows a node's outputs to all who watch it, asks about them, brings the verdicts,
and brings inputs; the last two stay once they are there. Attachments share them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from penstock.bridges import ConsumerEnd, LaneSpec, ProducerEnd, Purpose
from penstock.data import CLIENT, Kind, Message, payload_bytes
from penstock.errors import (
    InvalidValueError,
    NodeAddressError,
    SessionClosedError,
    UnknownNodeError,
)
from penstock.executors.multiprocess.limits import unavailable
from penstock.executors.node_state import NodeState, as_state
from penstock.manifest import Closest
from penstock.planning import NodeAssignment
from penstock.session.bus.backlog import Room
from penstock.session.bus.intercept import Intercept, Intercepted, VerdictLane
from penstock.session.bus.tap import Tap, TapLane
from penstock.session.context import SessionExecutionContext
from penstock.session.cost import tap_bytes
from penstock.session.gateway import Inlet
from penstock.session.options import Interruption
from penstock.session.side_wiring import End, Gone, node_of

SETTLE_S = 0.2
"""How long the last outputs may take to come to those who watch, once all nodes have finished."""
TAP_CAPACITY = 256
"""Messages that wait on a tap's lane, at most."""
_Gone: TypeAlias = Callable[[str], object]
_EVERYTHING = frozenset(Kind)


class Lines(Protocol):
    """What the bus needs of the session's ``Ensemble``."""

    def lay(self, spec: LaneSpec, gone: Gone) -> End: ...

    def release(self, end: End) -> None: ...

    def set_state(self, node_id: str, state: NodeState) -> None: ...

    def confirm(self, node_id: str, number: int) -> None: ...


class Bus:
    """All of it for one session. Each process may own ``pool_bytes`` of shared memory."""

    def __init__(self, context: SessionExecutionContext, lines: Lines, pool_bytes: int) -> None:
        self.over = asyncio.Event()
        self.listeners: set[Callable[[Interruption], None]] = set()
        self.requests = 0
        self._plan = context.plan
        self._lines = lines
        self._lane_bytes = pool_bytes // 4
        self._room = Room(tap_bytes(context.plan.configuration))
        self._taps: dict[str, TapLane] = {}
        self._intercepts: dict[str, Intercept] = {}
        self._verdicts: dict[str, VerdictLane] = {}
        self._inlets: dict[str, Inlet] = {}
        self._owners: dict[str, object] = {}
        self._finished: set[str] = set()
        self._confirming: dict[int, asyncio.Future[None]] = {}
        self._confirms = 0
        self._closest = Closest()

    def tap(self, node_id: str) -> Tap:
        """Show a node's outputs from now on."""
        self.node(node_id)
        if node_id in self._finished:
            tap = Tap(node_id, self._room.backlog(), self._untap)
            tap.end()
            return tap
        if node_id not in self._taps:
            end = self._lay_consumer(self._spec(node_id, Purpose.TAP), self._tap_gone)
            self._taps[node_id] = TapLane(end, self._room.backlog())
        lane = self._taps[node_id]
        tap = Tap(node_id, lane.backlog, self._untap)
        lane.taps.add(tap)
        return tap

    def intercept(
        self, node_id: str, deadline_s: float, former: Intercept | None = None
    ) -> Intercept:
        """Ask about each output of a node from now on, in the place of the ``former`` intercept.

        Raises ``NodeAddressError`` where there is another.
        """
        node = self.node(node_id)
        present = self._intercepts.get(node_id)
        if present is not None and present is not former:
            raise NodeAddressError(node_id, "is intercepted already")
        if node_id not in self._verdicts:
            end = self._lay_producer(self._spec(node_id, Purpose.VERDICT), self._verdicts.pop)
            self._verdicts[node_id] = VerdictLane(end)
        about = Intercepted(node_id, node.emits, self._plan.configuration.max_message_bytes)
        verdicts = self._verdicts[node_id]
        intercept = Intercept(about, deadline_s, verdicts, self._next_request, self._let_pass)
        if node_id in self._finished:
            intercept.end()
            return intercept
        if present is not None:
            self._intercepts[node_id] = intercept
            intercept.take_over(present)
            return intercept
        spec = self._spec(node_id, Purpose.QUESTION)
        intercept.listen(self._lay_consumer(spec, self._question_gone))
        self._intercepts[node_id] = intercept
        return intercept

    async def inject(self, node_id: str, message: Message, check: Callable[[], None]) -> None:
        """Give a node an input, once it has room; ``check`` raises where waiting is over.

        Raises ``NodeAddressError`` for a node that takes none, ``InvalidValueError`` for one that
        doesn't take this.
        """
        self._check_input(self.node(node_id), message)
        inlet = await self._inlet(node_id)

        def go_on() -> None:
            check()
            self._check_running(node_id)
            if self._inlets.get(node_id) is not inlet:
                raise NodeAddressError(node_id, "takes nothing more from outside the pipeline")

        stall_s = self._plan.configuration.stall_timeout_secs
        await inlet.put(message, go_on, _nobody_is_stuck, stall_s)

    async def _inlet(self, node_id: str) -> Inlet:
        """The way into a node, once it has its end: else it could end without looking there."""
        if node_id not in self._inlets:
            self._check_running(node_id)
            spec = self._spec(node_id, Purpose.INJECTION)
            self._inlets[node_id] = Inlet(self._lay_producer(spec, self._inlet_gone))
        inlet = self._inlets[node_id]
        if not inlet.is_reached:
            await self.confirmed(node_id)
            inlet.is_reached = True
        return inlet

    def set_state(self, node_id: str, state: NodeState, owner: object) -> None:
        """Have a node work on its inputs or not, from the next one on, as the last ``owner`` says.

        When that leaves, the node is as it was at first. Raises ``InputError`` for no state.
        """
        self.node(node_id)
        state = as_state(state)
        self._owners[node_id] = owner
        self._lines.set_state(node_id, state)

    def forget(self, owner: object) -> None:
        """What an owner has said of nodes holds no more."""
        for node_id in [name for name, last in self._owners.items() if last is owner]:
            del self._owners[node_id]
            if not self.over.is_set():
                self._lines.set_state(node_id, NodeState.ENABLED)

    async def confirmed(self, node_id: str) -> None:
        """Wait until a node has heeded everything up to now; one that works does so afterwards."""
        if self.over.is_set():
            raise SessionClosedError("the session has ended")
        self._confirms += 1
        number = self._confirms
        future = self._confirming[number] = asyncio.get_running_loop().create_future()
        try:
            self._lines.confirm(node_id, number)
            await future
        finally:
            del self._confirming[number]

    def node(self, node_id: str) -> NodeAssignment:
        """Raises ``UnknownNodeError`` where there is none."""
        if node_id not in self._plan.order:
            known = self._plan.order
            raise UnknownNodeError(node_id, known, self._closest(node_id, known))
        return self._plan.node(node_id)

    def wake(self) -> None:
        """Have everybody who waits for room look again."""
        for inlet in self._inlets.values():
            inlet.wake()

    def confirm(self, number: int) -> None:
        """A node has heeded what it was told."""
        future = self._confirming.get(number)
        if future is not None and not future.done():
            future.set_result(None)

    def finish(self, node_id: str) -> None:
        """A node takes and gives nothing more; what it gave last may be on its way."""
        self._finished.add(node_id)
        self.wake()

    async def settle(self) -> None:
        """All nodes have finished: let the last outputs come to those who watch."""
        ending = [asyncio.create_task(lane.over.wait()) for lane in self._taps.values()]
        if ending:
            _, late = await asyncio.wait(ending, timeout=SETTLE_S)
            for task in late:
                task.cancel()

    def end(self) -> None:
        """The session is over: nothing more comes, and nothing goes."""
        self.over.set()
        for lane in self._taps.values():
            lane.drain_last()
            lane.finish()
        for intercept in self._intercepts.values():
            intercept.end()
        for future in self._confirming.values():
            if not future.done():
                future.set_exception(SessionClosedError("the session has ended"))
        self.wake()

    def _untap(self, tap: Tap) -> None:
        lane = self._taps.get(tap.node_id)
        if lane is None or tap not in lane.taps:
            return
        lane.taps.discard(tap)
        if not lane.taps and not self.over.is_set():
            del self._taps[tap.node_id]
            lane.finish()
            self._lines.release(lane.end)

    def _let_pass(self, intercept: Intercept) -> None:
        """Ask no more: what waits at the node passes as soon as it hears that nobody is there."""
        if self._intercepts.get(intercept.node_id) is intercept and not self.over.is_set():
            del self._intercepts[intercept.node_id]
            lane = intercept.silenced()
            if lane is not None:
                self._lines.release(lane)

    def _next_request(self) -> int:
        self.requests += 1
        return self.requests

    def _check_input(self, node: NodeAssignment, message: Message) -> None:
        node_id, value = node.node_id, message.value
        if node.is_source:
            raise NodeAddressError(node_id, "takes no inputs: it produces")
        if node.is_join:
            raise NodeAddressError(node_id, "takes only inputs that belong together: it is a join")
        if value.kind not in node.accepts:
            known = ", ".join(sorted(node.accepts))
            said = f"node {node_id!r} accepts {known}, got {value.kind}"
            raise InvalidValueError(said, node_id=node_id)
        size, largest = payload_bytes(value), self._plan.configuration.max_message_bytes
        if size > largest:
            said = f"expected a value of at most {largest} bytes, got {size}"
            raise InvalidValueError(said, node_id=node_id)

    def _check_running(self, node_id: str) -> None:
        if node_id in self._finished:
            raise NodeAddressError(node_id, "has come to its end")

    def _spec(self, node_id: str, purpose: Purpose) -> LaneSpec:
        config = self._plan.configuration
        inbound = purpose in (Purpose.VERDICT, Purpose.INJECTION)
        is_tap = purpose is Purpose.TAP
        return LaneSpec(
            lane_id=0,
            source=CLIENT if inbound else node_id,
            target=node_id if inbound else CLIENT,
            accepts=_EVERYTHING,
            capacity=TAP_CAPACITY if is_tap else config.channel_capacity,
            backpressure=not is_tap,
            max_message_bytes=config.max_message_bytes,
            verify=config.verify,
            max_buffered_bytes=self._lane_bytes if is_tap else 0,
            purpose=purpose,
        )

    def _lay_consumer(self, spec: LaneSpec, gone: _Gone) -> ConsumerEnd:
        return self._lay(spec, gone)  # type: ignore[return-value]  # by where it leads

    def _lay_producer(self, spec: LaneSpec, gone: _Gone) -> ProducerEnd:
        return self._lay(spec, gone)  # type: ignore[return-value]  # the same

    def _lay(self, spec: LaneSpec, gone: _Gone) -> End:
        """A lane whose node may let go of it, which ``gone`` is told.

        Raises ``ResourceLimitError`` where the system has no more of something.
        """

        def lost() -> None:
            if not self.over.is_set():
                self._lines.release(end)
                gone(node_of(spec))

        try:
            end = self._lines.lay(spec, lost)
        except OSError as exc:
            raise unavailable(exc) from exc
        return end

    def _tap_gone(self, node_id: str) -> None:
        lane = self._taps.pop(node_id, None)
        if lane is not None:
            lane.finish()

    def _question_gone(self, node_id: str) -> None:
        intercept = self._intercepts.get(node_id)
        if intercept is not None:
            intercept.close()

    def _inlet_gone(self, node_id: str) -> None:
        self._inlets.pop(node_id).wake()


async def _nobody_is_stuck() -> None:
    """Whoever injects may wait as long as the node's own inputs do."""
