"""Who races at a hop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from bench.frameworks.framework_rig import DORA, RAY_ACTORS, RAY_GRAPH, framework_rig
from bench.hops.ends import Transport
from bench.hops.pair_rig import pair_rig
from bench.hops.penstock_rig import penstock_rig
from bench.hops.rig import BETWEEN, WITHIN, Hop, Rig
from bench.hops.within import CallRig, LoopQueueRig
from bench.measurement import FLOOR, OURS, PeerError, Unavailable
from bench.transports.bare import bare
from bench.transports.iceoryx import iceoryx
from bench.transports.packages import is_there
from bench.transports.pipe import pipe
from bench.transports.queue import queue
from bench.transports.zeromq import zeromq

ICEORYX = "iceoryx2"
QUEUE = "multiprocessing.Queue"
DORA_RS = "dora-rs"
Racers: TypeAlias = Mapping[str, Rig | Unavailable]
_Transports: TypeAlias = Mapping[str, Callable[[int], AbstractContextManager[Transport]]]
_PEERS: _Transports = {
    ICEORYX: iceoryx,
    "pyzmq": zeromq,
    "multiprocessing.Pipe": pipe,
    QUEUE: queue,
}


@asynccontextmanager
async def between_processes(nbytes: int) -> AsyncIterator[Racers]:
    """The rigs of a hop from process to process by their names; all stand until the end."""
    async with AsyncExitStack() as stack:
        yield {
            FLOOR: _paired(stack, bare, nbytes),
            OURS: await stack.enter_async_context(penstock_rig()),
            **{name: _paired(stack, peer, nbytes) for name, peer in _PEERS.items()},
        }


@asynccontextmanager
async def between_executors(hop: Hop, nbytes: int) -> AsyncIterator[Racers]:
    """The same for any hop, with one peer."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(penstock_rig(hop))
        if hop == WITHIN:
            yield {FLOOR: CallRig(nbytes), OURS: ours, "asyncio.Queue": LoopQueueRig(nbytes)}
            return
        floor = _paired(stack, bare, nbytes, hop)
        yield {FLOOR: floor, OURS: ours, QUEUE: _paired(stack, queue, nbytes, hop)}


@asynccontextmanager
async def frameworks() -> AsyncIterator[Racers]:
    """Penstock and the frameworks, for payloads of any size."""
    async with AsyncExitStack() as stack:
        yield {
            OURS: await stack.enter_async_context(penstock_rig()),
            DORA_RS: _entered(stack, framework_rig(DORA)),
            **_ray(stack),
        }


def _ray(stack: AsyncExitStack) -> Racers:
    """A compiled graph, or also plain calls of actors where that doesn't get ready."""
    graph = {"Ray, compiled graph": _entered(stack, framework_rig(RAY_GRAPH))}
    if isinstance(graph["Ray, compiled graph"], Unavailable) and is_there("ray"):
        return {**graph, "Ray, actors": _entered(stack, framework_rig(RAY_ACTORS))}
    return graph


def _paired(
    stack: AsyncExitStack,
    transport: Callable[[int], AbstractContextManager[Transport]],
    nbytes: int,
    hop: Hop = BETWEEN,
) -> Rig | Unavailable:
    try:
        return stack.enter_context(pair_rig(stack.enter_context(transport(nbytes)), hop))
    except PeerError as exc:
        return Unavailable(str(exc))


def _entered(stack: AsyncExitStack, rig: AbstractContextManager[Rig]) -> Rig | Unavailable:
    try:
        return stack.enter_context(rig)
    except PeerError as exc:
        return Unavailable(str(exc))
