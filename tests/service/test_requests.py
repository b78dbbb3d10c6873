"""A method whose client has left ends as one that was cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import InputError, SessionCancelledError
from penstock.service.requests import heeding_leave


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (SessionCancelledError(SessionCancelledError.CLIENT_LEFT), asyncio.CancelledError),
        (InputError("no"), InputError),
    ],
)
async def test_what_grpc_sees_of_a_method(raised: Exception, seen: type[BaseException]) -> None:
    async def behaviour(_requests: Any, _context: Any) -> None:
        raise raised

    with pytest.raises(seen):
        await heeding_leave(behaviour)(None, None)  # type: ignore[arg-type]  # nobody looks at it


async def test_what_it_gives_is_passed_on() -> None:
    async def behaviour(requests: Any, _context: Any) -> Any:
        return requests

    assert await heeding_leave(behaviour)(7, None) == 7  # type: ignore[arg-type]  # the same
