"""A state machine: an enum, one flat table, and ``step``. Owns no meaning of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from penstock.errors import InvalidTransition

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)
Table = Mapping[State, Mapping[Event, State]]

HISTORY = 32


class Machine(Generic[State, Event]):
    """Walks ``table`` from ``initial``; remembers the last states for error messages.

    ``on_step`` is called with every state that is reached.
    """

    __slots__ = ("_table", "history", "name", "on_step", "state")

    def __init__(self, name: str, table: Table[State, Event], initial: State) -> None:
        self.name = name
        self.state = initial
        self.history: deque[State] = deque([initial], maxlen=HISTORY)
        self.on_step: Callable[[State], None] = _nobody_listens
        self._table = table

    def step(self, event: Event) -> State:
        """Take the step for ``event``; raises ``InvalidTransition`` where there is none."""
        following = self._table.get(self.state, {}).get(event)
        if following is None:
            raise InvalidTransition(self.name, self.state, event, [*self.history])
        self.state = following
        self.history.append(following)
        self.on_step(following)
        return following

    def can(self, event: Event) -> bool:
        """Whether there is a step for ``event`` in this state."""
        return event in self._table.get(self.state, {})


def _nobody_listens(_state: StrEnum) -> None:
    """What ``on_step`` is until somebody does."""
