"""What is compiled fails as Python does: with an exception, and not with the process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.service.rpc.outbox import Outbox


async def test_none_where_none_may_be_is_an_error() -> None:
    nobody: Any = None
    outbox = Outbox(asyncio.get_running_loop())
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'lead'"):
        outbox.send_nowait(nobody, b"")
