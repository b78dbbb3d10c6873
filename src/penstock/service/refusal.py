"""How a call ends that isn't let in: with a status that programs understand, and unread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from penstock.service.status import Context, Ending, abort
from penstock.wire.refusals import refusal_details

HOLD_S = 0.05
"""How long a refusal waits for the client's first message to have left (nobody reads it).

A client on grpc.aio whose write comes after the end takes that for INTERNAL (grpc/grpc#36066).
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """``reason`` is for programs; after ``retry_s`` they may try again (None: it is no use)."""

    ending: Ending
    reason: str
    retry_s: float | None = None

    async def tell(self, _requests: Any, context: Context) -> None:
        """A handler's behaviour: it never asks for a request."""
        await asyncio.sleep(HOLD_S)
        ending = self.ending
        details = refusal_details(ending.number, ending.message, self.reason, self.retry_s)
        context.set_trailing_metadata(details)
        await abort(context, ending)
