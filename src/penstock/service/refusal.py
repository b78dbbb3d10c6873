"""How a call ends that isn't let in: with a status that programs understand, and unread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NoReturn

from penstock.errors import SessionCancelledError
from penstock.service.call_log import CallLog
from penstock.service.status import Context, Ending, abort
from penstock.session.logs import LogRate
from penstock.wire.refusals import refusal_details

LINES_AT_ONCE = 100
LINE_S = 1.0
"""So many refusals are logged at once, and one more after each of these seconds: a flood of calls
must not fill a disk. Metrics count all of them."""
_NAME = 100
"""Characters of a method's name: it may be none that there is."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """``reason`` is for programs; after ``retry_s`` they may try again (None: it is no use).

    One that is told ``at_once`` isn't held: it takes no room from others, and its client may see
    INTERNAL.
    """

    ending: Ending
    reason: str
    retry_s: float | None = None
    at_once: bool = False

    async def tell(self, context: Context) -> NoReturn:
        """End the call, of which no request is asked for."""
        if not self.at_once:
            await context.heard()
        self._explain(context)
        await abort(context, self.ending)

    def end(self, context: Context) -> None:
        """The same of a call that nobody serves."""
        self._explain(context)
        context.finish(self.ending.code, self.ending.message)

    def _explain(self, context: Context) -> None:
        ending = self.ending
        details = refusal_details(ending.number, ending.message, self.reason, self.retry_s)
        context.set_trailing_metadata(details)


class Refusals:
    """Refuses calls, and tells the operator of each, as often as a log may grow for that."""

    def __init__(self) -> None:
        self._rate = LogRate()
        self._untold = 0

    async def tell(self, refusal: Refusal, method: str, context: Context) -> NoReturn:
        """End a call of ``method``, which is a path or a name, as its client said it.

        Raises ``asyncio.CancelledError`` where that has left.
        """
        self._log(refusal, method, context)
        try:
            await refusal.tell(context)
        except SessionCancelledError as exc:
            raise asyncio.CancelledError from exc

    def end(self, refusal: Refusal, context: Context) -> None:
        """The same at once, of a call that nobody serves."""
        self._log(refusal, context.method, context)
        refusal.end(context)

    def _log(self, refusal: Refusal, method: str, context: Context) -> None:
        if self._rate.takes(LINE_S, LINES_AT_ONCE * LINE_S):
            log = CallLog(method.rpartition("/")[2][:_NAME], context.peer())
            log.refused(refusal.ending.message, refusal.reason, self._untold)
            self._untold = 0
        else:
            self._untold += 1
