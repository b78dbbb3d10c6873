"""Node processes that are initialised before any session wants them; each goes to one session.

Each has a supervisor of its own, whose channel goes along with it: whoever has that keeps the
process alive.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.limits import Allowance, shortage
from penstock.executors.multiprocess.reactor_loop import reactor_of, release_reactor
from penstock.executors.multiprocess.remote import allowance_of, foreign_python, prepare_order
from penstock.executors.multiprocess.reports import exit_error
from penstock.executors.multiprocess.station import DEATH_NOTICE_S
from penstock.executors.multiprocess.supervision import Supervision
from penstock.executors.multiprocess.transport import Reactor, socket_pair
from penstock.executors.multiprocess.transport.frames import close_all
from penstock.manifest import ManifestConfiguration
from penstock.nodes.catalogue import load
from penstock.planning import NodeAssignment

_log = logging.getLogger(__name__)
RETRY_S = 10.0
"""How long to wait before another is started in place of one that failed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a node's process was made for; what has the same can stand in for it."""

    provider: str
    params: str
    python: str | None
    allowance: Allowance

    @classmethod
    def of(cls, node: NodeAssignment, config: ManifestConfiguration, pool_bytes: int) -> Recipe:
        params = load(node.provider).Params.model_validate(node.params)
        allowance = allowance_of(config, pool_bytes)
        return cls(node.provider, params.model_dump_json(), foreign_python(config), allowance)


@dataclass(frozen=True, slots=True)
class Order:
    """How many processes of one kind should wait; ``node`` stands for all that fit."""

    node: NodeAssignment
    config: ManifestConfiguration
    pool_bytes: int
    count: int

    @property
    def recipe(self) -> Recipe:
        return Recipe.of(self.node, self.config, self.pool_bytes)


class WarmNode:
    """One node's process, from its fork until a session has it."""

    def __init__(
        self, order: Order, reactor: Reactor, on_end: Callable[[WarmNode, str], None]
    ) -> None:
        """Raises ``OSError`` where the system has no more of something; then there is nothing."""
        self.order = order
        self._type = order.node.node_type
        self.is_ready = False
        self.pid = 0
        self._on_end = on_end
        with ExitStack() as lent, ExitStack() as undo:
            to_supervisor, its_end = _pair(undo, lent)
            to_node, its_control = _pair(undo, lent)
            self._sockets = (
                undo.enter_context(to_supervisor.dup()),
                undo.enter_context(to_node.dup()),
            )
            number = LAUNCHER.supervise(its_end)
            self._supervision = Supervision(
                to_supervisor,
                reactor,
                self._heard,
                lambda: self._end(self._supervision.refusal or "its supervisor died"),
                number=number,
            )
            undo.callback(self._supervision.close)
            self._control: Channel[messages.FromNode] = Channel(
                to_node, reactor, messages.FromNode, self._said, self._fell_silent
            )
            undo.callback(self._control.close)
            self._prepare(its_control)
            undo.pop_all()

    def hand_over(self) -> tuple[socket.socket, socket.socket]:
        """The channels to its supervisor and to itself: it is the caller's now."""
        self._let_go()
        return self._sockets

    def listen(self) -> None:
        """Hear what was said of it, and what it said, by now."""
        self._supervision.drain()
        self._control.drain()

    def close(self) -> None:
        """Let it end."""
        self._let_go()
        for sock in self._sockets:
            sock.close()

    def _prepare(self, its_control: socket.socket) -> None:
        order, config = self.order, self.order.config
        self._control.send(prepare_order(order.node, config, session_id=""))
        spawn = messages.Spawn(
            node_id=self._type,
            init_timeout_s=config.init_timeout_secs,
            process_timeout_s=None,
            python=foreign_python(config),
            allowance=allowance_of(config, order.pool_bytes),
        )
        self._supervision.tell(spawn, its_control.dup())

    def _let_go(self) -> None:
        self._control.close()
        self._supervision.close()

    def _heard(self, message: messages.OfProcess) -> None:
        match message:
            case messages.Spawned():
                self.pid = message.pid
            case messages.NotSpawned():
                self._end(message.reason)
            case messages.Exited():
                self._end(str(exit_error(message)))
            case messages.Output():
                for line in message.lines:
                    about = {"node_type": self._type, "stream": message.stream, "line": line}
                    _log.info("%s, waiting: %s", self._type, line, extra=about)

    def _said(self, message: messages.FromNode, unwanted: list[int]) -> None:
        close_all(unwanted)
        match message:
            case messages.Ready():
                self.is_ready = True
                said = "a %s is set up and waits, process %d"
                _log.info(said, self._type, self.pid, extra=_about(self._type))
            case messages.Failed():
                self._end(
                    f"{message.during} raised {message.exception_type}: "
                    f"{message.exception_message}\n{message.traceback}"
                )

    def _fell_silent(self) -> None:
        """Its supervisor tells how it ended; where it goes on without a word, nobody would."""
        self.is_ready = False
        loop = asyncio.get_running_loop()
        loop.call_later(DEATH_NOTICE_S, self._end, "it closed its control channel")

    def _end(self, why: str) -> None:
        self._on_end(self, why)


class WarmNodes:
    """Keeps as many of each kind as were ordered, on the event loop that it is first filled on.

    ``taken`` counts by node type and whether one was ready: a ``hit``, or else a ``miss``.
    """

    def __init__(self, orders: Sequence[Order] = ()) -> None:
        self._wanted = {order.recipe: order for order in orders}
        self._counts: Counter[Recipe] = Counter()
        for order in orders:
            self._counts[order.recipe] += order.count
        self._waiting: dict[Recipe, deque[WarmNode]] = {recipe: deque() for recipe in self._wanted}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reactor: Reactor | None = None
        self._retries: dict[Recipe, asyncio.TimerHandle] = {}
        self.taken: Counter[tuple[str, str]] = Counter()

    @property
    def ready(self) -> Counter[str]:
        """How many are set up and wait, by node type."""
        waiting = (warm for queue in self._waiting.values() for warm in queue if warm.is_ready)
        return Counter(warm.order.node.node_type for warm in waiting)

    @property
    def processes(self) -> dict[int, str]:
        """Their node types, by PID, of those that run."""
        waiting = (warm for queue in self._waiting.values() for warm in queue if warm.pid)
        return {warm.pid: warm.order.node.node_type for warm in waiting}

    def refill(self) -> None:
        """Have as many started as there should be."""
        if not self._wanted:
            return
        if self._reactor is None:
            self._loop = asyncio.get_running_loop()
            self._reactor = reactor_of(self._loop)
        for recipe, order in self._wanted.items():
            queue = self._waiting[recipe]
            while len(queue) < self._counts[recipe] and recipe not in self._retries:
                try:
                    queue.append(WarmNode(order, self._reactor, self._ended))
                except OSError as exc:
                    self._fall_short(order, shortage(exc))

    def take(
        self, node: NodeAssignment, config: ManifestConfiguration, pool_bytes: int
    ) -> WarmNode | None:
        """One that is ready to be this node; None where there is none."""
        queue = self._waiting.get(Recipe.of(node, config, pool_bytes), deque())
        for one in list(queue):
            one.listen()  # it may have died meanwhile
        warm = next((warm for warm in queue if warm.is_ready), None)
        if warm is not None:
            queue.remove(warm)
        if any(order.node.node_type == node.node_type for order in self._wanted.values()):
            self.taken[node.node_type, "miss" if warm is None else "hit"] += 1
        return warm

    def close(self) -> None:
        """Let all that wait end."""
        self._wanted = {}
        for retry in self._retries.values():
            retry.cancel()
        for queue in self._waiting.values():
            while queue:
                queue.popleft().close()
        if self._reactor is not None and self._loop is not None:
            release_reactor(self._reactor, self._loop)
            self._reactor = None

    def _ended(self, warm: WarmNode, why: str) -> None:
        """One that failed is not replaced at once: the next of its kind might fail as well."""
        queue = self._waiting[warm.order.recipe]
        if warm not in queue:
            return
        queue.remove(warm)
        warm.close()
        self._fall_short(warm.order, why)

    def _fall_short(self, order: Order, why: str) -> None:
        recipe, node_type = order.recipe, order.node.node_type
        _log.error("a %s could not be kept ready: %s", node_type, why, extra=_about(node_type))
        if recipe not in self._retries and self._loop is not None:
            self._retries[recipe] = self._loop.call_later(RETRY_S, self._try_again, recipe)

    def _try_again(self, recipe: Recipe) -> None:
        del self._retries[recipe]
        self.refill()


def _about(node_type: str) -> dict[str, str]:
    return {"node_type": node_type}


def _pair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two connected ends, which two stacks close."""
    one, other = socket_pair()
    return ours.enter_context(one), theirs.enter_context(other)
