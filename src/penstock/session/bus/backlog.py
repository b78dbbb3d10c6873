"""What waits for those who watch a session's nodes: each output once, however many watch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from weakref import WeakSet

from penstock.data import Message, held_bytes

TAP_MESSAGES = 256
"""Outputs of a node that wait for its slowest tap, at most; the oldest of more are lost."""


@dataclass(slots=True)
class Shown:
    """An output that some readers have not seen; it was the ``number``-th that the node gave."""

    message: Message
    nbytes: int
    number: int
    readers: int


class Room:
    """What all backlogs of a session may hold together.

    Whoever holds most loses first: a tap that is read as its events come loses none because of
    others. The last output of each node always waits, however large.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._backlogs: WeakSet[Backlog] = WeakSet()

    def backlog(self) -> Backlog:
        """A place for the outputs of one more node."""
        backlog = Backlog(self)
        self._backlogs.add(backlog)
        return backlog

    @property
    def held(self) -> int:
        """Bytes that wait, of all nodes."""
        return sum(backlog.held for backlog in self._backlogs)

    def make(self) -> None:
        """Have the oldest go, until what is left fits."""
        over = self.held - self._most_bytes
        while over > 0 and (several := [one for one in self._backlogs if len(one) > 1]):
            over -= max(several, key=attrgetter("held")).lose_oldest()


class Backlog:
    """The latest outputs of a node, for all its taps; each reads on from a place of its own.

    ``shown`` is how many the node has given, as far as is known, and ``end`` the place of the
    next that is kept. What nobody has yet to read is not held.
    """

    def __init__(self, room: Room) -> None:
        self.held = 0
        self.shown = 0
        self._room = room
        self._waiting: deque[Shown] = deque()
        self._first = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def end(self) -> int:
        return self._first + len(self._waiting)

    def keep(self, message: Message, readers: int) -> None:
        """Have an output, whose memory is nobody else's, wait for so many readers."""
        nbytes = held_bytes(message.value)
        self._waiting.append(Shown(message, nbytes, self.shown, readers))
        self.held += nbytes
        if len(self._waiting) > TAP_MESSAGES:
            self.lose_oldest()
        self._room.make()

    def lose_oldest(self) -> int:
        """Nobody reads the oldest any more; gives its bytes."""
        nbytes = self._waiting.popleft().nbytes
        self._first += 1
        self.held -= nbytes
        return nbytes

    def waiting(self, place: int) -> int:
        """How many are left from a place on."""
        return min(self.end - place, len(self._waiting))

    def read(self, place: int) -> tuple[Shown, int]:
        """The oldest that is waiting from a place on, and the place behind it."""
        left = self.waiting(place)
        shown, behind = self._waiting[-left], self.end - left + 1
        shown.readers -= 1
        self._forget()
        return shown, behind

    def leave(self, place: int) -> None:
        """Who was at that place reads nothing more."""
        for shown in islice(self._waiting, len(self._waiting) - self.waiting(place), None):
            shown.readers -= 1
        self._forget()

    def _forget(self) -> None:
        """What all have read goes; the slowest has yet to read all that came after."""
        while self._waiting and not self._waiting[0].readers:
            self.lose_oldest()
