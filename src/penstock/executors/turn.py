"""Which turn a node's work belongs to, and whether an interrupt has ended that turn."""

from __future__ import annotations

from penstock.bridges import CLIENT_SLOT, NO_EPOCHS, Epochs
from penstock.bridges.epochs import outputs_at, work_at
from penstock.data import Message


class Turn:
    """A node's view of the page of epochs: as of its last look, and what it began with.

    ``epoch`` is what its outputs are stamped with, ``begun`` the turn that its current work was
    begun in, ``latest`` the one that it should be in. ``asked`` counts the interrupts that the
    node has asked for, maybe on a thread of its own, ``answered`` those that have come about.
    """

    __slots__ = (
        "_outputs_at", "_seen", "_words", "_work_at",
        "answered", "asked", "begun", "epoch", "latest",
    )  # fmt: skip

    def __init__(self, epochs: Epochs = NO_EPOCHS, slot: int = CLIENT_SLOT) -> None:
        self._words = epochs.words
        self._outputs_at = outputs_at(slot)
        self._work_at = work_at(slot)
        self.asked = self.answered = 0
        self.look()
        self.begun = self.latest

    @property
    def has_news(self) -> bool:
        """Whether anything was interrupted since the last look, or the turn has changed by then."""
        return self._words[0] != self._seen or self.latest != self.begun

    @property
    def is_over(self) -> bool:
        """Whether what the node is at is for nothing."""
        if self._words[0] != self._seen:
            self.look()
        return self.latest != self.begun

    @property
    def is_asking(self) -> bool:
        """Whether what the node gives next has to wait for an interrupt, to be of a new turn."""
        return self.asked != self.answered

    @property
    def newest(self) -> int:
        """The turn that the node's work should be in now; for any thread."""
        return self._words[self._work_at]

    def look(self) -> None:
        """See what the page says now. Its first word is written last, so it is read first."""
        words = self._words
        self._seen = words[0]
        self.epoch = words[self._outputs_at]
        self.latest = words[self._work_at]

    def begin(self) -> bool:
        """Be in the latest turn from now on; whether that is another than before."""
        self.look()
        changed = self.latest != self.begun
        self.begun = self.latest
        return changed

    def has_passed(self, message: Message) -> bool:
        """Whether an output that the node made earlier is stale by now."""
        return self.is_over or message.epoch < self.epoch
