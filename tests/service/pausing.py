"""A node that says when it is in one of its methods, and stays there."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

from penstock.data import Text
from penstock.nodes import Node, NodeParams, node


@node("pauses")
class Pauses(Node):
    """Write the process to the FIFO ``tell`` in ``during``, and wait for ever; never if ready."""

    class Params(NodeParams):
        during: Literal["setup", "ready", "process", "flush", "teardown"]
        tell: Path

    params: Params

    def setup(self) -> None:
        if self.params.during == "ready":
            self._tell()
        self._at("setup")

    def process(self, item: Text) -> Text:
        self._at("process")
        return item

    def flush(self) -> None:
        self._at("flush")

    def teardown(self) -> None:
        self._at("teardown")

    def _at(self, moment: str) -> None:
        if self.params.during == moment:
            self._tell()
            while True:
                signal.pause()

    def _tell(self) -> None:
        with self.params.tell.open("w") as fifo:
            fifo.write(f"{os.getpid()}\n")
