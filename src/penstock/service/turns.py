"""Each caller's turns: so many calls at a time, and so many begun in a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from penstock.manifest import ConnectionSettings
from penstock.service.callers import caller_of
from penstock.service.refusal import Refusal, Refusals
from penstock.service.status import Context, Ending

MOST_WAITING_S = 2.0
"""A call waits for less than that; who has more calls ahead is refused at once."""
_RETRY_S = 1.0
_PEERS_KNOWN = 4096
"""After so many, those that are within their rate are forgotten."""
Behaviour = Callable[[Any, Context], Awaitable[Any]]


class Turns:
    """Keeps a caller within ``max_calls_per_peer`` and ``max_call_rate_per_peer``.

    A call before its turn waits, and has not been read meanwhile. It counts as one that goes on, as
    does one whose answer hasn't been read: a caller's share of all calls is no more than that,
    whatever they are at.
    """

    def __init__(self, settings: ConnectionSettings, refusals: Refusals) -> None:
        self._refusals = refusals
        self._most = settings.max_calls_per_peer
        self._each_s = 1 / settings.max_call_rate_per_peer
        self._calls: Counter[str] = Counter()
        self._next: dict[str, float] = {}

    def in_turn(self, behaviour: Behaviour, method: str) -> Behaviour:
        """The behaviour of a method of which no caller takes more turns than it has."""

        async def call(requests: Any, context: Context) -> Any:
            name = caller_of(context).name
            if self._calls[name] >= self._most:
                refusal = _refused("TOO_MANY_CALLS", "max_calls_per_peer")
                await self._refusals.tell(refusal, method, context)
            waits_s = self._turn(name)
            if waits_s >= MOST_WAITING_S:
                refusal = _refused("TOO_OFTEN", "max_call_rate_per_peer")
                await self._refusals.tell(refusal, method, context)
            self._calls[name] += 1
            context.add_done_callback(lambda _call: self._over(name))
            if waits_s > 0:
                await asyncio.sleep(waits_s)
            return await behaviour(requests, context)

        return call

    def _over(self, name: str) -> None:
        self._calls[name] -= 1
        if not self._calls[name]:
            del self._calls[name]

    def _turn(self, name: str) -> float:
        """In how many seconds the caller's next turn comes; it is taken where that is not too long.

        A second's turns can be taken at once.
        """
        now = asyncio.get_running_loop().time()
        turn = max(self._next.get(name, 0.0), now - 1) + self._each_s
        if turn - now < MOST_WAITING_S:
            self._next[name] = turn
            if len(self._next) > _PEERS_KNOWN:
                self._next = {who: when for who, when in self._next.items() if when > now - 1}
        return turn - now


def _refused(reason: str, setting: str, who: str = "this caller") -> Refusal:
    """It counts among nobody's calls, so it must not last."""
    ending = Ending(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{who} has too many calls ({setting})")
    return Refusal(ending, reason, _RETRY_S, at_once=True)


TOO_MANY = _refused("TOO_MANY_CALLS", "max_calls", "the service")
"""What a call is told that is one too many of all together."""
