"""Who races at a hop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from bench.hops.bare_rig import bare_rig
from bench.hops.penstock_rig import penstock_rig
from bench.hops.queue_rig import queue_rig
from bench.hops.rig import Place, Rig
from bench.hops.within import CallRig, LoopQueueRig
from bench.measurement import OURS


@asynccontextmanager
async def contenders(source: Place, target: Place, nbytes: int) -> AsyncIterator[Mapping[str, Rig]]:
    """The rigs of a hop by their names, the floor first; all stand until the end."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(penstock_rig(source, target))
        if source == target == "native":
            yield {"floor": CallRig(nbytes), OURS: ours, "asyncio.Queue": LoopQueueRig(nbytes)}
            return
        yield {
            "floor": stack.enter_context(bare_rig(source, target, nbytes)),
            OURS: ours,
            "multiprocessing.Queue": stack.enter_context(queue_rig(source, target, nbytes)),
        }
