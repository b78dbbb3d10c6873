"""Where a node's next input comes from: any of its lanes, each in its turn."""

from __future__ import annotations

from typing import Protocol

from penstock.bridges import ConsumerEnd
from penstock.data import Message


class Intake(Protocol):
    """Takes a node's inputs out of its lanes; ``lanes`` may grow while it runs.

    ``injections`` bring inputs from outside the pipeline; the node comes to its end without them.
    """

    @property
    def lanes(self) -> list[ConsumerEnd]: ...

    @property
    def injections(self) -> list[ConsumerEnd]: ...

    def take(self) -> Message | None:
        """The next input, or None where there is none now."""

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""

    def lacking(self) -> list[str]:
        """The nodes that an input is missing of."""

    def is_stale(self, message: Message) -> bool:
        """Whether an interrupt has made stale what was taken last."""

    def renew(self) -> None:
        """Let go of inputs that it holds, and that an interrupt has made stale."""
