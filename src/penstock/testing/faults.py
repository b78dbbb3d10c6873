"""Nodes that misbehave, named after what they do, for tests of what surrounds them.

Load them with ``SessionOptions(nodes=("penstock.testing.faults",))`` or ``--nodes
penstock.testing.faults``. Until its fault strikes, each passes its inputs on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

from pydantic import Field

from penstock.data import Value
from penstock.nodes import Node, NodeParams, node


class FaultNode(Node):
    """Passes everything on."""

    def process(self, item: Value) -> Value | None:
        return item


def _forever() -> None:
    threading.Event().wait()


@node("raise_in_setup")
class RaiseInSetup(FaultNode):
    """Raise while the model would be loaded."""

    def setup(self) -> None:
        raise ValueError("no model at this path")


@node("raise_in_process")
class RaiseInProcess(FaultNode):
    """Write to stderr and raise on the ``on``-th input, counted from 1."""

    class Params(NodeParams):
        on: int = Field(1, ge=1)

    params: Params

    def setup(self) -> None:
        self._count = 0

    def process(self, item: Value) -> Value | None:
        self._count += 1
        if self._count == self.params.on:
            print("about to fail", file=sys.stderr)
            raise ValueError(f"can't digest input {self._count}")
        return item


@node("raise_in_flush")
class RaiseInFlush(FaultNode):
    """Raise at the end of the stream."""

    def flush(self) -> None:
        raise ValueError("the last page is missing")


@node("raise_in_teardown")
class RaiseInTeardown(FaultNode):
    """Raise when everything is over."""

    def teardown(self) -> None:
        raise ValueError("can't close the model")


@node("hang_in_setup")
class HangInSetup(FaultNode):
    """Never become ready."""

    def setup(self) -> None:
        _forever()


@node("hang_in_process")
class HangInProcess(FaultNode):
    """Never give the first input back."""

    def process(self, item: Value) -> Value | None:
        _forever()
        return item


@node("hang_in_teardown")
class HangInTeardown(FaultNode):
    """Never let go."""

    def teardown(self) -> None:
        _forever()


@node("exit_in_setup")
class ExitInSetup(FaultNode):
    """End the process, with code 7, before it is ready."""

    def setup(self) -> None:
        print("giving up early", file=sys.stderr, flush=True)
        os._exit(7)


@node("exit_in_process")
class ExitInProcess(FaultNode):
    """End the process, with code 3, on the first input."""

    def process(self, item: Value) -> Value | None:
        print("giving up", file=sys.stderr, flush=True)
        os._exit(3)


@node("segfault_in_process")
class SegfaultInProcess(FaultNode):
    """Read from address 0 on the first input."""

    def process(self, item: Value) -> Value | None:
        ctypes.string_at(0)
        return item


@node("ignore_sigterm")
class IgnoreSigterm(FaultNode):
    """Don't heed SIGTERM, and never give the first input back."""

    def setup(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def process(self, item: Value) -> Value | None:
        _forever()
        return item


@node("setsid_grandchild")
class SetsidGrandchild(FaultNode):
    """Leave a process behind in a session of its own, as a daemon would."""

    def setup(self) -> None:
        script = "import os, signal; os.fork() and os._exit(0); os.setsid(); signal.pause()"
        subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603  # our own script


@node("flood_stdout")
class FloodStdout(FaultNode):
    """Write a mebibyte to stdout for every input."""

    def process(self, item: Value) -> Value | None:
        for _ in range(1024):
            print("x" * 1023)
        return item


@node("return_rubbish")
class ReturnRubbish(FaultNode):
    """Return something that is no value."""

    def process(self, item: Value) -> Value | None:
        return 42  # type: ignore[return-value]  # that is the fault


@node("hoard_leases")
class HoardLeases(FaultNode):
    """Keep every input for ever, and pass it on."""

    def setup(self) -> None:
        self.hoard: list[Value] = []

    def process(self, item: Value) -> Value | None:
        self.hoard.append(item)
        return item


@node("flood_outputs")
class FloodOutputs(Node):
    """Give every input on ``times`` times."""

    class Params(NodeParams):
        times: int = Field(1000, ge=1)

    params: Params

    def process(self, item: Value) -> Iterator[Value]:
        for _ in range(self.params.times):
            yield item
