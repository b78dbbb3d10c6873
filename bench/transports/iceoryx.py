"""A peer: iceoryx2's publish-subscribe, woken by its events, written in place.

Everything lives under a root path and a prefix of its own, and goes with them, however the
processes end. The receiver sleeps in its listener until it is notified.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.hops.link import new_name
from bench.hops.rig import window
from bench.transports.packages import require

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where iceoryx2 puts its segments
_SERVICE = "payloads"


class _Line(ctypes.Structure):
    """The element of a payload: aligned memory costs too much where elements are bytes."""

    _fields_ = (("data", ctypes.c_uint8 * 64),)


class Iceoryx:
    """One service with a publisher and a subscriber, and its twin for events."""

    def __init__(self, root: str, prefix: str, window: int) -> None:
        self._root = root
        self._prefix = prefix
        self._window = window

    @contextmanager
    def sender(self) -> Iterator[IceoryxSender]:
        payloads, events = self._services()
        yield IceoryxSender(payloads, events)

    @contextmanager
    def receiver(self) -> Iterator[IceoryxReceiver]:
        payloads, events = self._services()
        yield IceoryxReceiver(payloads, events)

    def _services(self) -> tuple[Any, Any]:
        import iceoryx2 as iox2  # noqa: PLC0415  # it may be missing

        config = iox2.config.default()
        places = config.global_cfg
        places.root_path = iox2.Path.new(f"{self._root}/")
        places.prefix = iox2.FileName.new(self._prefix)
        builder = iox2.NodeBuilder.new().config(config)
        builder = builder.signal_handling_mode(iox2.SignalHandlingMode.Disabled)
        node = builder.create(iox2.ServiceType.Ipc)
        name = iox2.ServiceName.new(_SERVICE)
        payloads = node.service_builder(name).publish_subscribe(iox2.Slice[_Line])
        payloads = payloads.enable_safe_overflow(False).subscriber_max_buffer_size(self._window)
        return payloads.open_or_create(), node.service_builder(name).event().open_or_create()


@contextmanager
def iceoryx(nbytes: int) -> Iterator[Iceoryx]:
    """Raises ``PeerError`` where iceoryx2 isn't installed."""
    require("iceoryx2")
    prefix = f"{new_name()}_"
    with tempfile.TemporaryDirectory() as root:
        try:
            yield Iceoryx(root, prefix, window(nbytes))
        finally:
            for left in _SHARED_MEMORY.glob(f"{prefix}*"):
                left.unlink(missing_ok=True)


class IceoryxSender:
    def __init__(self, payloads: Any, events: Any) -> None:
        import iceoryx2 as iox2  # noqa: PLC0415  # it may be missing

        publisher = payloads.publisher_builder().initial_max_slice_len(1)
        publisher = publisher.allocation_strategy(iox2.AllocationStrategy.PowerOfTwo)
        self._publisher = publisher.create()
        self._notifier = events.notifier_builder().create()
        self._sample: Any = None

    def memory(self, nbytes: int) -> NDArray[np.uint8]:
        lines = -(-nbytes // ctypes.sizeof(_Line))
        self._sample = self._publisher.loan_slice_uninit(lines)
        return _bytes_at(self._sample.payload_ptr, nbytes)

    def send(self, _payload: NDArray[np.uint8]) -> None:
        self._sample.assume_init().send()
        self._sample = None
        self._notifier.notify()


class IceoryxReceiver:
    def __init__(self, payloads: Any, events: Any) -> None:
        self._subscriber = payloads.subscriber_builder().create()
        self._listener = events.listener_builder().create()
        self._sample: Any = None

    def receive(self) -> NDArray[np.uint8]:
        self._sample = None
        while (sample := self._subscriber.receive()) is None:
            self._listener.blocking_wait()
        self._sample = sample
        lines = sample.payload().len()
        return _bytes_at(sample.payload_ptr, lines * ctypes.sizeof(_Line))


def _bytes_at(address: int, nbytes: int) -> NDArray[np.uint8]:
    """A view that doesn't keep the sample: who asks for it must."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
