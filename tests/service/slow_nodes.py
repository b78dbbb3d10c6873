"""A node that takes its time."""

from __future__ import annotations

import time

from penstock import Node, NodeParams, Text, node


@node("Slow")
class Slow(Node):
    """Passes a text on after a while."""

    class Params(NodeParams):
        seconds: float

    def process(self, item: Text) -> Text:
        time.sleep(self.params.seconds)
        return item
