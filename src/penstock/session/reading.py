"""How a session's outputs come to its one reader: as he asks for them, or the moment they come."""

from __future__ import annotations

from penstock.session.crossing import Handing


class Reading(Handing):
    """What is taken, and how he waits for more."""

    async def idle(self) -> None:
        """Wait until there may be something to take, or everything is over."""
        await self._gateway.idle(None if self._at_once is None else self._arrived)
