"""How a call ends that isn't let in: with a status that programs understand, and unread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.service.status import Context, Ending, abort
from penstock.wire.refusals import refusal_details


@dataclass(frozen=True, slots=True)
class Refusal:
    """``reason`` is for programs; after ``retry_s`` they may try again (None: it is no use)."""

    ending: Ending
    reason: str
    retry_s: float | None = None

    async def tell(self, _requests: Any, context: Context) -> None:
        """A handler's behaviour: it never asks for a request."""
        ending = self.ending
        details = refusal_details(ending.number, ending.message, self.reason, self.retry_s)
        context.set_trailing_metadata(details)
        await abort(context, ending)
