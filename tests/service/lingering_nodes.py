"""Nodes that hang, and that nothing but SIGKILL ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

from penstock import Node, NodeParams, Text, node


class Params(NodeParams):
    """Where the process says what it is, and where it hangs."""

    path: str
    during: Literal["setup", "process"]


@node("lingers")
class Lingers(Node):
    """Says its process's number, and hangs."""

    Params = Params
    params: Params

    def setup(self) -> None:
        self._hang_in("setup")

    def process(self, item: Text) -> Text:
        self._hang_in("process")
        return item

    def _hang_in(self, during: str) -> None:
        if during == self.params.during:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Path(self.params.path).write_text(str(os.getpid()))
            while True:
                time.sleep(1)
