"""Frames of one connection, without a socket: which are taken, and what is granted for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from bench.rpc.http2 import HEADERS, frame
from penstock.service.rpc.datapath import DataPath
from penstock.service.rpc.inflow import Inflow

WAIT_S = 100.0
GIB = 1 << 30


class Loop:
    """A loop whose clock stands still; ``waits_s`` is what was asked of it last."""

    def __init__(self) -> None:
        self.waits_s: float | None = None

    def time(self) -> float:
        return 1000.0

    def call_soon(self, callback: Callable[[], object]) -> None:
        """The end of a turn, which never comes."""

    def call_later(self, wait_s: float, callback: Callable[[], object]) -> None:
        self.waits_s = wait_s


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = b""

    def set_write_buffer_limits(self, high: int) -> None:
        """There is no buffer."""

    def pause_reading(self) -> None:
        """There is nothing to be read."""

    def write(self, data: bytes) -> None:
        self.written += data


class Turnstile:
    """Lets everybody through."""

    def admits(self) -> bool:
        return True


class Reader:
    """Waits for a message."""

    def done(self) -> bool:
        return False


class Path(DataPath):
    """Counts headers; after ``most`` of them its client is to wait."""

    def __init__(self, most: int = 0) -> None:
        self.loop, self.transport = Loop(), Transport()
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        super().__init__(loop)
        self.begun = 0
        self.inflow = Inflow(loop, cast("Any", Turnstile()), self)
        for end in (self.inflow, self.outbox):
            end.open(cast("Any", self.transport))
        self._most = most

    def _is_known(self, stream: int) -> bool:
        return True

    def _take_other(self, kind: int, flags: int, stream: int, payload: bytes) -> bool:
        self.begun += 1
        if self.begun == self._most:
            self.inflow.wait_until = self.loop.time() + WAIT_S
        return True


@pytest.mark.parametrize("cut", [0, 3], ids=["whole", "in two"])
def test_who_has_begun_too_many_calls_waits_before_any_more(cut: int) -> None:
    """Those that have come with them, too."""
    path = Path(most=4)
    sent = frame(HEADERS, 0, 1, b"x") * 1000
    path.inflow.add(sent[:cut])
    path.inflow.add(sent[cut:])
    assert path.begun == 4
    assert path.loop.waits_s == WAIT_S
