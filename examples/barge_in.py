"""Interrupt a reply while it is given: ``python barge_in.py TARGET``, where the service has us.

The service is to be started with ``penstock serve --nodes examples/barge_in.py``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from penstock import Node, Text, node
from penstock.client import Client

MANIFEST = {
    "version": "v1",
    "metadata": {"name": "barge-in"},
    "nodes": [
        {"id": "hear", "node_type": "PassThrough"},
        {"id": "reply", "node_type": "Chatterbox"},
    ],
    "connections": [{"from": "hear", "to": "reply"}],
}


@node("Chatterbox")
class Chatterbox(Node):
    """Answer each text without end; an interrupt closes the generator."""

    def process(self, item: Text) -> Iterator[Text]:
        number = 0
        while True:
            number += 1
            yield Text(f"{item.text}, {number}")


async def main(target: str) -> None:
    """Hear the beginning of one reply, and then that of another."""
    async with Client(target) as client, client.stream(MANIFEST) as stream:
        outputs = stream.outputs()
        await stream.send("hear", "one")
        print((await anext(outputs)).value.text)
        told = await stream.interrupt("hear")
        print("interrupted:", ", ".join(told.sinks))
        await stream.send("hear", "two")
        print((await anext(outputs)).value.text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"))
