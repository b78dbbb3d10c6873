"""What the bridges themselves count of a message's conversion, at both ends together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.payload import Order
from bench.hops.penstock_rig import PenstockRig, penstock_rig
from bench.hops.rig import BETWEEN, SIZES, Hop
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from penstock.bridges import BridgeStatistics, ConversionStrategy

_COUNTS = {"4 KB": 2000, "64 KB": 1000, "1 MB": 300, "3.84 MB": 100, "6.2 MB": 60}
_STRATEGIES: dict[ConversionStrategy, tuple[Hop, float]] = {
    ConversionStrategy.SHARED_MEMORY: (BETWEEN, 10),
    ConversionStrategy.NATIVE_TO_IPC: (("native", "process"), 20),
    ConversionStrategy.IPC_TO_NATIVE: (("process", "native"), 20),
}


async def conversion_us(
    rig: PenstockRig, strategy: ConversionStrategy, order: Order
) -> Sequence[float]:
    """The mean conversion of an order's messages, by the bridge's own counters."""
    before = await _bridge(rig, strategy)
    await rig.run(order)
    after = await _bridge(rig, strategy)
    messages = after.messages_transferred - before.messages_transferred
    return [(after.conversion_latency_us - before.conversion_latency_us) / messages]


async def _bridge(rig: PenstockRig, strategy: ConversionStrategy) -> BridgeStatistics:
    bridges = (await rig.session.metrics()).bridges
    return next(bridge for bridge in bridges if bridge.strategy is strategy)


@asynccontextmanager
async def _open(
    hop: Hop, strategy: ConversionStrategy, order: Order
) -> AsyncIterator[Mapping[str, Measure]]:
    async with penstock_rig(hop) as rig:
        yield {OURS: partial(conversion_us, rig, strategy, order)}


def _cases(effort: Effort) -> list[Case]:
    return [
        _case(effort, strategy, size, turns=turns)
        for strategy in _STRATEGIES
        for size in (SIZES if strategy is ConversionStrategy.SHARED_MEMORY else ["4 KB"])
        for turns in (False, True)
    ]


def _case(effort: Effort, strategy: ConversionStrategy, size: str, *, turns: bool) -> Case:
    hop, limit_us = _STRATEGIES[strategy]
    order = Order(effort.count(_COUNTS[size]), SIZES[size], turns=turns)
    how = "one at a time" if turns else "many on their way"
    return Case(
        f"{strategy}, {size}, {how}", partial(_open, hop, strategy, order), (Target(limit_us),)
    )


CONVERSION = Figure("conversion", "Conversion of a message by its bridge", "µs", apart(_cases))
