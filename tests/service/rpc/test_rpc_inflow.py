"""Frames of one connection, without a socket: which are taken, and what is granted for them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

import pytest

from bench.rpc.http2 import DATA, HEADERS, WINDOW_UPDATE, frame
from penstock.service.rpc.datapath import DataPath
from penstock.service.rpc.flow import Flow
from penstock.service.rpc.frames import HEAD_BYTES, MAX_WINDOW, parse_head
from penstock.service.rpc.inflow import Inflow
from penstock.service.rpc.messages import Assembly

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


def test_a_window_is_no_wider_than_can_be() -> None:
    """For a message of 3 GiB, where such may be."""
    path = Path()
    call = Flow(1, path.outbox, Assembly(4 * GIB, "identity"), compresses=False)
    call._reader = cast("Any", Reader())
    path.calls[1] = call
    path.inflow.add(frame(DATA, 0, 1, struct.pack(">BI", 0, 3 * GIB)))
    path.outbox.flush()
    granted, at = [], 0
    while at < len(path.transport.written):
        size, kind, _, stream = parse_head(path.transport.written, at)
        at += HEAD_BYTES + size
        if (kind, stream) == (WINDOW_UPDATE, 1):
            granted += struct.unpack(">I", path.transport.written[at - size : at])
    assert 0 < sum(granted) <= MAX_WINDOW
