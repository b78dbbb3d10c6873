"""A node that computes."""

from __future__ import annotations

from bench.burning.work import burn
from penstock.data import ExecutorType, Json
from penstock.nodes import Node, node


@node("Burner", executor=ExecutorType.MULTIPROCESS)
class Burner(Node):
    """Do the work of one item for each input, and pass it on."""

    def process(self, item: Json) -> Json:
        burn()
        return item
