"""Which node a loop runs."""

from __future__ import annotations

from typing import NamedTuple

from penstock.bridges import CLIENT_SLOT, NO_EPOCHS, Epochs
from penstock.data import Kind


class Identity(NamedTuple):
    """Which node it is, what it has declared to give, and its ``slot`` in the page of epochs."""

    node_id: str
    emits: frozenset[Kind]
    epochs: Epochs = NO_EPOCHS
    slot: int = CLIENT_SLOT
