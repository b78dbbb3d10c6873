"""A node that says when it is where a test wants to strike, and goes no further."""

import os
import signal
import threading
from typing import Literal

from penstock.data import Text
from penstock.nodes import Node, NodeParams, node


class StuckParams(NodeParams):
    when: Literal["setup", "process", "flush", "teardown"]
    path: str


@node("stuck")
class Stuck(Node):
    """Writes to the pipe at ``path`` in the method ``when``, and never comes back from it.

    It has children by then: one in a session of its own that has let go of everything.
    """

    Params = StuckParams
    params: StuckParams

    def setup(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _become_parent()
        self._reach("setup")

    def process(self, item: Text) -> Text:
        self._reach("process")
        return item

    def flush(self) -> None:
        self._reach("flush")

    def teardown(self) -> None:
        self._reach("teardown")

    def _reach(self, when: str) -> None:
        if when == self.params.when:
            with open(self.params.path, "w") as pipe:
                pipe.write(when)
            threading.Event().wait()


def _become_parent() -> None:
    started, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(said, b"x")
            os.closerange(0, 100)
            signal.pause()
        os._exit(0)
    os.waitpid(child, 0)
    os.read(started, 1)
    if os.fork() == 0:
        signal.pause()
