"""The frames of an attachment: numbered as they are written, and each matched to its answer."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.wire.control_frames import decode_refusal
from penstock.wire.v1 import control_pb2 as pb

LIMITS: Mapping[str, int] = {
    "publish": 4,
    "subscribe": 16,
    "intercept": 16,
    "set_node_state": 16,
}
"""Frames of a kind whose answers may be awaited at a time; others are answered at once.

With more than that, the service reads nothing until a node has gone on, and that may take a
verdict of ours.
"""


@dataclass(slots=True, eq=False)
class Asked:
    """A frame, and who waits for its answer (None: nobody)."""

    frame: pb.ControlFrame
    node_id: str
    answer: asyncio.Future[pb.Acknowledged] | None

    @property
    def op(self) -> str:
        return self.frame.WhichOneof("op") or ""


class Frames:
    """What waits to be written, in order, and what has been written and waits for its answer.

    A frame has its number from the moment it is taken to be written, so that who gives up
    waiting for an answer shifts nothing. One kind doesn't wait behind another that has too many
    answers outstanding.
    """

    def __init__(self) -> None:
        self._waiting: deque[Asked] = deque()
        self._written: dict[int, Asked] = {}
        self._outstanding: Counter[str] = Counter()
        self._count = 0
        self._changed = asyncio.Event()
        self._finished = False

    async def ask(
        self, frame: pb.ControlFrame, node_id: str = "", *, surely: bool = False
    ) -> pb.Acknowledged:
        """Have a frame written, and wait until it has taken effect; raises what it is refused by.

        Who gives up waiting takes it back, where it hasn't been written yet, unless it is
        ``surely`` to be done.
        """
        answer: asyncio.Future[pb.Acknowledged] = asyncio.get_running_loop().create_future()
        asked = self._put(Asked(frame, node_id, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            if not surely and asked in self._waiting:
                self._waiting.remove(asked)
            raise

    def tell(self, frame: pb.ControlFrame) -> None:
        """Have a frame written for whose answer nobody waits; where one waits already, that one."""
        if all(asked.frame != frame for asked in self._waiting):
            self._put(Asked(frame, "", None))

    async def take(self) -> pb.ControlFrame | None:
        """The next frame to write, once there is one; None when nothing more is to be written."""
        while not self._finished:
            asked = next(filter(self._may_go, self._waiting), None)
            if asked is not None:
                self._waiting.remove(asked)
                self._outstanding[asked.op] += 1
                self._count += 1
                self._written[self._count] = asked
                return asked.frame
            self._changed.clear()
            await self._changed.wait()
        return None

    def acknowledge(self, said: pb.Acknowledged) -> Asked | None:
        """Tell who waits; gives what was asked, where it was anything."""
        asked = self._settle(said.frame)
        if asked is not None and asked.answer is not None and not asked.answer.done():
            asked.answer.set_result(said)
        return asked

    def refuse(self, said: pb.ErrorEvent) -> bool:
        """The same of a frame that was refused; False where it is no frame that was."""
        asked = self._settle(said.frame)
        if asked is not None:
            _fail(asked, decode_refusal(said, asked.node_id))
        return asked is not None

    def finish(self) -> None:
        """Nothing more is to be written."""
        self._finished = True
        self._changed.set()

    def end(self, error: Exception) -> None:
        """Nothing more is answered: whoever waits is told why."""
        self.finish()
        for asked in (*self._written.values(), *self._waiting):
            _fail(asked, error)
        self._written.clear()
        self._waiting.clear()

    def _put(self, asked: Asked) -> Asked:
        self._waiting.append(asked)
        self._changed.set()
        return asked

    def _may_go(self, asked: Asked) -> bool:
        limit = LIMITS.get(asked.op)
        return limit is None or self._outstanding[asked.op] < limit

    def _settle(self, number: int) -> Asked | None:
        asked = self._written.pop(number, None)
        if asked is not None:
            self._outstanding[asked.op] -= 1
            self._changed.set()
        return asked


def _fail(asked: Asked, error: Exception) -> None:
    if asked.answer is not None and not asked.answer.done():
        asked.answer.set_exception(error)
