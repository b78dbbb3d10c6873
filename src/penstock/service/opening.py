"""The first messages of calls: how long each may take, and how many are read at a time.

A call's window is widened for all of a message as soon as somebody reads: what half-sent messages
take is as many of the largest as are being read. A server has one size of the largest message for
all methods, so that small requests, which are bounded once they are here, have few readers and
little time of their own before that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Any

import grpc

from penstock.errors import SessionIdleError
from penstock.manifest import ConnectionSettings
from penstock.service.callers import caller_of
from penstock.service.requests import read_request
from penstock.service.status import Context, Ending, EndingError, abort

FAIR_S = 2.0
"""How long a first message is read whoever else waits."""
OWN_FAIR_S = 10.0
"""The same where it is its own caller's next that waits: who says nothing keeps nobody for long."""
SMALL_BYTES = 64 << 10
"""The largest request of a method that asks for next to nothing."""
_SMALL_S = 10.0
"""How long a small request may take at most: it is a single packet, mostly."""
_SMALL_PER_PEER, _SMALL = 4, 16
"""How many small requests are read at a time: none of them needs longer than its way."""


class SlowOpeningError(EndingError, SessionIdleError):
    """A call's first message wasn't here in time, or others had to have their turn.

    It is told by a status only: that needs no room in the window of a client that reads nothing,
    and with it what has come is let go of.
    """

    def __init__(self, ending: Ending, *, limit_s: float) -> None:
        super().__init__(limit_s=limit_s)
        self.args = (ending.message,)
        self.ending = ending


class Reading:
    """One first message that is being read; ``since`` is in the event loop's time."""

    def __init__(self, name: str, limit_s: float, *, brief: bool) -> None:
        self.name = name
        self._brief = brief
        self.since = asyncio.get_running_loop().time()
        self._limit_s = limit_s
        self._timeout: asyncio.Timeout | None = None
        self._is_over = False

    async def read(self, context: Context) -> Any:
        """What ``read_request`` gives; raises ``SlowOpeningError`` where that takes too long."""
        try:
            async with asyncio.timeout(0 if self._is_over else self._limit_s) as self._timeout:
                return await read_request(context)
        except TimeoutError as exc:
            raise self._error() from exc
        finally:
            self._timeout = None

    def end(self) -> None:
        """Have it make room; its task raises when it has its turn."""
        self._is_over = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())

    def _error(self) -> SlowOpeningError:
        if self._is_over:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            read_s = asyncio.get_running_loop().time() - self.since
            said = f"not all of the first message came within {read_s:.0f} s, and others waited"
            key = "" if self._brief else " (max_openings, max_openings_per_peer)"
        else:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            said = f"no first message came for {self._limit_s:g} s, or not all of it"
            key = " (small requests have no longer)" if self._brief else " (first_message_secs)"
        return SlowOpeningError(Ending(code, said + key), limit_s=self._limit_s)


class Openings:
    """Reads ``most_of_one`` caller's first messages at a time, and ``most`` of all callers.

    Others wait, each caller's in their order, and nothing of theirs is read meanwhile. Where there
    is room for one more, who has fewest has it. Where there is none, the caller with most makes
    room for who has at least two fewer, by the message that it has taken longest over; but by
    none before it has had ``FAIR_S`` seconds. A caller that has all it may have makes room for
    itself after ``OWN_FAIR_S`` seconds.

    Where first messages are ``brief`` the newest has the next turn, and ``FAIR_S`` is enough for
    who makes room for itself, too.
    """

    def __init__(self, most_of_one: int, most: int, limit_s: float, *, brief: bool = False) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._limit_s = limit_s
        self._brief = brief
        self._waiting: dict[str, deque[asyncio.Future[Reading]]] = {}
        self._turns: dict[Reading, None] = {}
        self._counts: Counter[str] = Counter()

    async def read(self, context: Context) -> Any:
        """A call's first message, or ``grpc.aio.EOF``, in its turn; raises as it does."""
        async with self.turn(context) as turn:
            return await turn.read(context)

    async def read_or_end(self, context: Context) -> Any:
        """The same; a call whose first message doesn't come is ended."""
        try:
            return await self.read(context)
        except SlowOpeningError as exc:
            await abort(context, exc.ending)

    @contextlib.asynccontextmanager
    async def turn(self, context: Context) -> AsyncIterator[Reading]:
        """The turn of a call, for the length of the block."""
        turn = await self._in_turn(caller_of(context).name)
        try:
            yield turn
        finally:
            self._leave(turn)

    async def _in_turn(self, name: str) -> Reading:
        wish: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(wish)
        self._admit()
        try:
            while not wish.done():
                await asyncio.wait([wish], timeout=self._press(name))
        except asyncio.CancelledError:
            self._forget(name, wish)
            raise
        return wish.result()

    def _forget(self, name: str, wish: asyncio.Future[Reading]) -> None:
        if wish.done():
            self._leave(wish.result())
            return
        self._waiting[name].remove(wish)
        if not self._waiting[name]:
            del self._waiting[name]

    def _leave(self, turn: Reading) -> None:
        """Give a turn back; doing it twice is harmless."""
        if turn in self._turns:
            del self._turns[turn]
            self._counts[turn.name] -= 1
            if not self._counts[turn.name]:
                del self._counts[turn.name]
            self._admit()

    def _admit(self) -> None:
        """Give turns to who waits, as long as there are some."""
        while len(self._turns) < self._most:
            names = [name for name in self._waiting if self._counts[name] < self._most_of_one]
            if not names:
                return
            name = min(names, key=self._counts.__getitem__)
            waiting = self._waiting[name]
            wish = waiting.pop() if self._brief else waiting.popleft()
            if not self._waiting[name]:
                del self._waiting[name]
            turn = Reading(name, self._limit_s, brief=self._brief)
            self._turns[turn] = None
            self._counts[name] += 1
            wish.set_result(turn)

    def _press(self, name: str) -> float | None:
        """Have somebody make room; in how many seconds that may be asked (None: nobody has to).

        It is done by the oldest turn of who has most; turns are kept in their order.
        """
        most = self._in_the_way_of(name)
        if most is None:
            return None
        oldest = next(turn for turn in self._turns if turn.name == most)
        fair_s = OWN_FAIR_S if most == name and not self._brief else FAIR_S
        left_s = oldest.since + fair_s - asyncio.get_running_loop().time()
        if left_s > 0:
            return left_s
        oldest.end()
        self._leave(oldest)
        return 0

    def _in_the_way_of(self, name: str) -> str | None:
        """The caller that has to make room for a call of ``name``; None where it has to wait."""
        own = self._counts[name]
        if own >= self._most_of_one:
            return name
        if len(self._turns) < self._most:
            return None
        most, count = self._counts.most_common(1)[0]
        return most if count >= own + 2 else None


class Opening:
    """What methods share: their first messages are ``large`` or ``small``.

    Calls that go on with small ones, and do nothing else, are ``inquiries``: they keep their turns.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        limit_s = settings.first_message_secs
        self.large = Openings(settings.max_openings_per_peer, settings.max_openings, limit_s)
        self.small, self.inquiries = (
            Openings(_SMALL_PER_PEER, _SMALL, min(limit_s, _SMALL_S), brief=True) for _ in range(2)
        )
