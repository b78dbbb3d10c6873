"""Whether a node works on its inputs."""

from __future__ import annotations

from enum import StrEnum

from penstock.errors import InputError


class NodeState(StrEnum):
    """A node that is not ``ENABLED`` is left out of its pipeline.

    ``BYPASS`` gives its inputs on as they are, where its connections carry their kinds;
    ``DISABLED`` swallows them. A node that produces gives nothing in either. What a node was at
    already is finished, and it is set up, flushed and torn down as ever.
    """

    ENABLED = "enabled"
    BYPASS = "bypass"
    DISABLED = "disabled"


def as_state(given: str) -> NodeState:
    """The state, or the one of that name; raises ``InputError`` where there is none."""
    try:
        return NodeState(given)
    except ValueError:
        known = ", ".join(NodeState)
        raise InputError(f"state: expected one of {known}, got {given!r}") from None
