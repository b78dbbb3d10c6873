"""A first node of your own, and a pipeline around it.

``python examples/gain_node.py`` runs it as a library;
``penstock serve --nodes examples/gain_node.py`` offers it to clients.
"""

from __future__ import annotations

import asyncio

import numpy as np
from pydantic import Field

from penstock import Audio, Node, NodeParams, Session, SessionOptions, node, replace

MANIFEST = {
    "version": "v1",
    "nodes": [{"id": "gain", "node_type": "Gain", "params": {"gain_db": -6}}],
    "connections": [],
}


class GainParams(NodeParams):
    """How much louder; softer where it is negative."""

    gain_db: float = Field(0.0, ge=-60, le=60, description="gain in dB")


@node("Gain")
class Gain(Node):
    """Scale float32 audio."""

    Params = GainParams
    params: GainParams

    def process(self, item: Audio) -> Audio:
        if item.samples.dtype != np.float32:
            raise ValueError(f"expected float32 samples, got {item.samples.dtype}")
        factor = np.float32(10 ** (self.params.gain_db / 20))
        return replace(item, samples=item.samples * factor)


async def main() -> None:
    """Send three chunks of a tone through the node and print what comes back."""
    wave = np.sin(np.arange(1_600, dtype=np.float32) * 0.1)
    async with Session(MANIFEST, SessionOptions(nodes=(Gain,))) as session:
        for _ in range(3):
            await session.send("gain", Audio(wave, 16_000))
        await session.end()
        async for output in session.outputs():
            if isinstance(output.value, Audio):
                peak = output.value.samples.max()
                print(f"{output.node_id} #{output.sequence}: peak {peak:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
