"""Gives a node's outputs one after the other, and waits where a lane has no space."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from penstock.data import Value
from penstock.executors.calling import (
    END,
    Caller,
    checked,
    close_iterator,
    each_value,
    plain_values,
)
from penstock.executors.emitter import Emitter
from penstock.executors.pump import Pump
from penstock.executors.timing import Clock


class Delivery:
    """The waiting form of an ``Emitter``; ``call`` runs what makes the values.

    Of several outputs each leaves before the next is made, and none is made any more when the
    node's turn is over. With ``direct`` plain iterators are run right here.
    """

    def __init__(
        self, emitter: Emitter, pump: Pump, call: Caller, clock: Clock, *, direct: bool
    ) -> None:
        self._emitter = emitter
        self._pump = pump
        self._call = call
        self._clock = clock
        self._direct = direct

    async def all_of(self, result: Any, during: str) -> None:
        """Give whatever a method returned: nothing, a value, or several."""
        if self._direct and inspect.isawaitable(result):
            result = await self._clock.wait(during, self._call(_itself, result))
        values = plain_values(result) if self._direct else None
        if values is not None:
            await self._each_here(values, during)
        else:
            await self._each(result, during)

    async def one(self, value: Value, during: str) -> None:
        self._emitter.give(value, during)
        if self._emitter.waiting:
            await self.settle(during)

    async def settle(self, during: str) -> None:
        """Wait until every lane has taken the last output.

        There may be space by now: a node that was called by its producer comes here later.
        """
        self._emitter.give_again(during)
        while self._emitter.waiting:
            await self._pump.idle()
            self._emitter.give_again(during)

    async def following(self, each: AsyncGenerator[Value, None], during: str) -> Value | None:
        """The next of several values, None after the last, or where the turn is over."""
        return await self._clock.wait(during, anext(each, None))  # type: ignore[no-any-return]  # a Clock is untyped

    async def close(self, each: AsyncGenerator[Value, None], result: Any, during: str) -> None:
        """Have what makes the values run its ``finally`` blocks."""
        await self._clock.wait(during, _close(each, result))

    async def _each(self, result: Any, during: str) -> None:
        each, turn = each_value(result, self._call), self._emitter.turn
        try:
            while not turn.is_over and (value := await self.following(each, during)) is not None:
                await self.one(value, during)
                await self._pump.breathe()
        finally:
            await self.close(each, result, during)

    async def _each_here(self, values: Iterator[Any], during: str) -> None:
        clock, turn = self._clock, self._emitter.turn
        try:
            while not turn.is_over and (value := clock.call(during, next, values, END)) is not END:
                await self.one(clock.call(during, checked, value), during)
                await self._pump.breathe()
        finally:
            clock.call(during, close_iterator, values)


async def _close(each: AsyncGenerator[Value, None], result: Any) -> None:
    await each.aclose()
    closing = close_iterator(result)
    if closing is not None:
        await closing


def _itself(result: Any) -> Any:
    """What a caller that can wait awaits."""
    return result
