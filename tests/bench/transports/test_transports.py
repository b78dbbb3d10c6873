"""Every transport carries what is written, in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from bench.hops.ends import Transport
from bench.measurement import PeerError
from bench.transports.bare import bare
from bench.transports.iceoryx import iceoryx
from bench.transports.packages import WITHOUT, is_there, require
from bench.transports.pipe import pipe
from bench.transports.queue import queue
from bench.transports.zeromq import zeromq

NEEDS_ICEORYX = pytest.mark.skipif(not is_there("iceoryx2"), reason="iceoryx2 is not installed")
NEEDS_ZMQ = pytest.mark.skipif(not is_there("zmq"), reason="pyzmq is not installed")
TRANSPORTS = [
    bare,
    queue,
    pipe,
    pytest.param(zeromq, marks=NEEDS_ZMQ),
    pytest.param(iceoryx, marks=NEEDS_ICEORYX),
]
NBYTES = 8192
COUNT = 120
"""More than there are slots."""


@pytest.mark.parametrize("opened", TRANSPORTS)
def test_payloads_arrive_as_they_were_written(
    opened: Callable[[int], AbstractContextManager[Transport]],
) -> None:
    with (
        opened(NBYTES) as transport,
        transport.sender() as sender,
        transport.receiver() as receiver,
    ):
        for number in range(COUNT):
            sent = np.full(NBYTES, number, np.uint8)
            memory = sender.memory(NBYTES)
            np.copyto(memory, sent)
            sender.send(memory)
            assert np.array_equal(receiver.receive()[:NBYTES], sent)


def test_a_package_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(PeerError, match="not installed"):
        require("no_such_package")


def test_a_package_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    require("numpy")
    monkeypatch.setenv(WITHOUT, "ray,numpy")
    assert not is_there("numpy")
    with pytest.raises(PeerError, match="left out"):
        require("numpy")


@pytest.mark.parametrize(("opened", "package"), [(zeromq, "zmq"), (iceoryx, "iceoryx2")])
def test_a_peer_without_its_package_opens_nothing(
    opened: Callable[[int], AbstractContextManager[Transport]],
    package: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(WITHOUT, package)
    with pytest.raises(PeerError, match="left out"), opened(NBYTES):
        pass
