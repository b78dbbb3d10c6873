"""Nodes of the tests of joins."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pydantic import Field

from penstock.data import Audio, ExecutorType, Json, Text, Value
from penstock.nodes import Join, Node, NodeParams, node


class Mix(Join):
    """One text of what came, by where it came from."""

    def process(self, **items: Text) -> Text:
        arrival = self.ctx.arrival
        assert arrival is not None
        said = " ".join(f"{source}={item.text}" for source, item in items.items())
        return Text(f"{said} #{arrival.sequence}")


@node("mix", executor=ExecutorType.MULTIPROCESS)
class MixInProcess(Mix):
    """In a process."""


@node("mix_native", executor=ExecutorType.NATIVE)
class MixNative(Mix):
    """On a thread of the session's process."""


@node("mix_quick", executor=ExecutorType.NATIVE)
class MixQuick(Mix):
    """On the event loop."""

    blocking = False


@node("mix_async", executor=ExecutorType.NATIVE)
class MixAsync(Mix):
    """Several at once."""

    concurrency = 3

    async def process(self, **items: Text) -> Text:
        return super().process(**items)


@node("subtitle", executor=ExecutorType.NATIVE)
class Subtitle(Join):
    """Two arguments of two kinds."""

    def process(self, sound: Audio, words: Text) -> Json:
        return Json([sound.samples.size, words.text])


@node("spell", executor=ExecutorType.NATIVE)
class Spell(Node):
    """A text or a sound, as the input says."""

    def process(self, item: Value) -> Text | Audio:
        assert isinstance(item, Text | Audio)
        return item


class WithholdParams(NodeParams):
    count: int = Field(1, ge=1)


class Withhold(Node):
    """Gives nothing until it has so many, then all of them."""

    Params = WithholdParams
    params: WithholdParams

    def setup(self) -> None:
        self._held: list[Text] = []

    def process(self, item: Text) -> Iterator[Text]:
        self._held.append(item)
        if len(self._held) >= self.params.count:
            yield from self._held
            self._held = []


@node("withhold", executor=ExecutorType.MULTIPROCESS)
class WithholdInProcess(Withhold):
    """In a process."""


@node("withhold_native", executor=ExecutorType.NATIVE)
class WithholdNative(Withhold):
    """In the session's process."""


@node("every_third", executor=ExecutorType.NATIVE)
class EveryThird(Node):
    """Lets some through."""

    blocking = False

    def process(self, item: Text) -> Text | None:
        arrival = self.ctx.arrival
        assert arrival is not None
        return item if arrival.sequence % 3 == 0 else None


class Slow(Node):
    """Computes for longer than any stall may last, at its first input."""

    first = True

    def process(self, item: Text) -> Text:
        if self.first:
            self.first = False
            time.sleep(1.2)
        return item


@node("slow", executor=ExecutorType.MULTIPROCESS)
class SlowInProcess(Slow):
    """In a process, which can't answer meanwhile."""


@node("slow_native", executor=ExecutorType.NATIVE)
class SlowNative(Slow):
    """On a thread."""
