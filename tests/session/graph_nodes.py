"""Nodes of random graphs: the same classes run wherever a manifest puts them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from penstock.data import Text
from penstock.nodes import Join, Node, NodeParams, node


class HowMany(NodeParams):
    count: int = Field(2, ge=1)


@node("pass_on")
class PassOn(Node):
    """Gives what it gets."""

    def process(self, item: Text) -> Text:
        return item


@node("linger")
class Linger(Node):
    """The same, half a millisecond later."""

    def process(self, item: Text) -> Text:
        time.sleep(0.0005)
        return item


@node("spread")
class Spread(Node):
    """Gives each input ``count`` times."""

    Params = HowMany
    params: HowMany

    def process(self, item: Text) -> Iterator[Text]:
        for _ in range(self.params.count):
            yield item


@node("gather")
class Gather(Node):
    """Gives nothing until ``count`` inputs are there, then all of them; at the end, the rest."""

    Params = HowMany
    params: HowMany

    def setup(self) -> None:
        self._held: list[Text] = []

    def process(self, item: Text) -> Iterator[Text]:
        self._held.append(item)
        if len(self._held) == self.params.count:
            yield from self.flush()

    def flush(self) -> Iterator[Text]:
        held, self._held = self._held, []
        yield from held


@node("pair")
class Pair(Join):
    """Gives one text for one of each connection."""

    def process(self, **items: Text) -> Text:
        return next(iter(items.values()))


@node("together")
class Together(Node):
    """Gives what it gets, three inputs at once, each after a few turns of its event loop."""

    concurrency = 3

    async def process(self, item: Text) -> Text:
        assert self.ctx.arrival is not None
        for _ in range(self.ctx.arrival.sequence % 4):
            await asyncio.sleep(0)
        return item


@node("quick")
class Quick(Node):
    """Gives what it gets; on the native executor by a direct call."""

    blocking = False

    def process(self, item: Text) -> Text:
        return item


class Gate(NodeParams):
    path: str = Field("", description="a FIFO")


def reached(gate: str | Path) -> Path:
    """The file that is there once a node has come to its gate."""
    return Path(f"{gate}.reached")


@node("gated")
class Gated(Node):
    """Gives its first input on when somebody opens the FIFO for writing, all others at once."""

    Params = Gate
    params: Gate

    def setup(self) -> None:
        self._is_open = False

    def process(self, item: Text) -> Text:
        if not self._is_open:
            reached(self.params.path).touch()
            os.close(os.open(self.params.path, os.O_RDONLY))
            self._is_open = True
        return item
