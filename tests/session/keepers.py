"""Nodes that hold on to their inputs, or lay hands on them."""

from __future__ import annotations

import gc
import io
import operator
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
from pydantic import Field

from penstock.data import Binary, Text, replace
from penstock.nodes import Node, NodeParams, node


def _frame_of_an_exception(array: np.ndarray) -> FrameType:
    """What an exception's traceback keeps."""

    def fail(array: np.ndarray) -> None:
        part = array[3:]
        raise ValueError(part.size)

    try:
        fail(array)
    except ValueError as exc:
        traceback = exc.__traceback__
    assert traceback is not None
    assert traceback.tb_next is not None
    return traceback.tb_next.tb_frame


def _even(array: np.ndarray) -> np.ndarray:
    return array[: array.size // 2 * 2]


WAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "whole": lambda array: array,
    "slice": lambda array: array[5::7],
    "slice of a slice": lambda array: array[1:][3:][::-2],
    "another shape": lambda array: _even(array).reshape(2, -1),
    "another type": lambda array: _even(array).view("u1,u1")["f1"],
    "memoryview": lambda array: memoryview(array)[9:],
    "array of a memoryview": lambda array: np.asarray(memoryview(array)),
    "closure": lambda array: partial(operator.getitem, array, slice(4, None)),
    "exception": _frame_of_an_exception,
}


def seen(kept: Any) -> np.ndarray:
    """The array behind something that was kept in one of the ``WAYS``."""
    match kept:
        case FrameType():
            return kept.f_locals["part"]
        case partial():
            return kept()
    return np.asarray(kept)


class KeeperParams(NodeParams):
    keep: int = Field(40, ge=1, description="how many parts it holds")


@node("keeper")
class Keeper(Node):
    """Keeps a part of each input in some way, looks at all of them again at each input.

    An input is full of one number, which its metadata names. Raises ``ValueError`` where
    something kept is no longer that. Gives the second half of each input, and now and then
    something that it got long ago.
    """

    Params = KeeperParams
    params: KeeperParams

    def setup(self) -> None:
        self._kept: deque[tuple[int, str, Any]] = deque(maxlen=self.params.keep)
        self._old: deque[Binary] = deque(maxlen=5)
        self._threads = ThreadPoolExecutor(2)
        self._go = threading.Event()
        self._in_thread: Future[bool] | None = None
        self._count = 0

    def process(self, item: Binary) -> Iterator[Binary]:
        number = int(item.metadata["number"])
        self._check_all()
        names = list(WAYS)
        name = names[self._count % len(names)]
        self._kept.append((number, name, WAYS[name](item.data)))
        self._hand_to_a_thread(number, item.data[::3])
        self._count += 1
        self._old.append(item)
        yield replace(item, data=item.data[len(item.data) // 2 :])
        if self._count % 5 == 0:
            yield self._old.popleft()

    def teardown(self) -> None:
        self._go.set()
        self._threads.shutdown()

    def _check_all(self) -> None:
        for number, name, kept in self._kept:
            if not (seen(kept) == number).all():
                raise ValueError(f"{name} of input {number} has changed")

    def _hand_to_a_thread(self, number: int, part: np.ndarray) -> None:
        """It looks at its part when the next input is there."""
        self._go.set()
        if self._in_thread is not None and not self._in_thread.result():
            raise ValueError(f"what a thread held before input {number} has changed")
        self._go = threading.Event()
        self._in_thread = self._threads.submit(_looks_later, self._go, number, part)


def _looks_later(go: threading.Event, number: int, part: np.ndarray) -> bool:
    go.wait()
    return bool((part == number).all())


@node("tangler")
class Tangler(Node):
    """Leaves each input in a cycle that only the collector can undo, and switches that off.

    At the end it tells how many of its inputs are still there.
    """

    def setup(self) -> None:
        gc.disable()
        self._inputs: list[weakref.ref[Binary]] = []

    def process(self, item: Binary) -> None:
        ring: list[Any] = [item]
        ring.append(ring)
        self._inputs.append(weakref.ref(item))

    def flush(self) -> Text:
        return Text(str(sum(alive() is not None for alive in self._inputs)))


def _set_first(array: Any) -> None:
    array[0] = 1


ATTEMPTS: dict[str, Callable[[np.ndarray], Any]] = {
    "element": _set_first,
    "slice": lambda array: array[2:].fill(0),
    "flag": lambda array: array.setflags(write=True),
    "flag of a view": lambda array: array.view().setflags(write=True),
    "flag of a slice": lambda array: array[1:].setflags(write=True),
    "flag of another shape": lambda array: array.reshape(2, -1).setflags(write=True),
    "out": lambda array: np.add(array, 1, out=array),
    "copyto": lambda array: np.copyto(array, 0),
    "in place": lambda array: operator.iadd(array, 1),
    "sort": lambda array: array.sort(),
    "swap": lambda array: array.view(np.uint16).byteswap(inplace=True),
    "put": lambda array: np.put(array, [0], [1]),
    "resize": lambda array: array.resize(3),
    "memoryview": lambda array: _set_first(memoryview(array)),
    "buffer": lambda array: _set_first(np.frombuffer(array, np.uint8)),
    "flag of a buffer": lambda array: np.frombuffer(array, np.uint8).setflags(write=True),
    "base": lambda array: _set_first(memoryview(array.base)),
    "readinto": lambda array: io.BytesIO(b"x").readinto(array),
}


@node("vandal")
class Vandal(Node):
    """Tries to write to its input, and names each way that was not refused."""

    def process(self, item: Binary) -> Iterator[Text]:
        for name, attempt in ATTEMPTS.items():
            try:
                attempt(item.data)
            except (ValueError, TypeError, BufferError):
                continue
            yield Text(name)


@node("writes")
class Writes(Node):
    """Writes to its input and doesn't expect that to fail."""

    def process(self, item: Binary) -> Binary:
        item.data[0] = 1
        return item
