"""Nodes that misbehave, named after what they do, for tests of what surrounds them.

Load them with ``SessionOptions(nodes=("penstock.testing.faults",))`` or ``--nodes
penstock.testing.faults``. Until its fault strikes, each passes its inputs on. A fault that ends
or blocks a process does so to whatever process the node is in: on the native executor of a
library's session that is the program itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from penstock.data import Value
from penstock.nodes import Node, NodeParams, node

Moment: TypeAlias = Literal["setup", "process", "flush", "teardown"]


class FaultNode(Node):
    """Passes everything on."""

    def process(self, item: Value) -> Value | None:
        return item


class StrikeParams(NodeParams):
    on: int = Field(1, ge=1, description="the input that it strikes on, counted from 1")


class Striking(FaultNode):
    """Calls ``strike`` in one of its methods; in ``process`` on the ``on``-th input."""

    Params = StrikeParams
    params: StrikeParams
    during: ClassVar[Moment]

    def strike(self) -> None:
        """Misbehave."""

    def setup(self) -> None:
        self.inputs = 0
        self._strike_in("setup")

    def process(self, item: Value) -> Value | None:
        self.inputs += 1
        if self.inputs == self.params.on:
            self._strike_in("process")
        return item

    def flush(self) -> None:
        self._strike_in("flush")

    def teardown(self) -> None:
        self._strike_in("teardown")

    def _strike_in(self, moment: Moment) -> None:
        if moment == self._moment():
            self.strike()

    def _moment(self) -> Moment:
        return self.during


def _forever() -> None:
    threading.Event().wait()


@node("raise_in_setup")
class RaiseInSetup(Striking):
    """Raise while the model would be loaded."""

    during = "setup"

    def strike(self) -> None:
        raise ValueError("no model at this path")


@node("raise_in_process")
class RaiseInProcess(Striking):
    """Write to stderr and raise."""

    during = "process"

    def strike(self) -> None:
        print("about to fail", file=sys.stderr)
        raise ValueError(f"can't digest input {self.inputs}")


@node("raise_in_flush")
class RaiseInFlush(Striking):
    """Raise at the end of the stream."""

    during = "flush"

    def strike(self) -> None:
        raise ValueError("the last page is missing")


@node("raise_in_teardown")
class RaiseInTeardown(Striking):
    """Raise when everything is over."""

    during = "teardown"

    def strike(self) -> None:
        raise ValueError("can't close the model")


class Hanging(Striking):
    """Blocks its thread for ever."""

    def strike(self) -> None:
        _forever()


@node("hang_in_setup")
class HangInSetup(Hanging):
    """Never become ready."""

    during = "setup"


@node("hang_in_process")
class HangInProcess(Hanging):
    """Never give an input back."""

    during = "process"


@node("hang_in_flush")
class HangInFlush(Hanging):
    """Never come to the end of the stream."""

    during = "flush"


@node("hang_in_teardown")
class HangInTeardown(Hanging):
    """Never let go."""

    during = "teardown"


class Exiting(Striking):
    """Ends the process without a word to Python."""

    code: ClassVar[int] = 3

    def strike(self) -> None:
        print("giving up", file=sys.stderr, flush=True)
        os._exit(self.code)


@node("exit_in_setup")
class ExitInSetup(Exiting):
    """End the process, with code 7, before it is ready."""

    during = "setup"
    code = 7


@node("exit_in_process")
class ExitInProcess(Exiting):
    """End the process, with code 3, on an input."""

    during = "process"


@node("exit_in_flush")
class ExitInFlush(Exiting):
    """End the process, with code 3, at the end of the stream."""

    during = "flush"


@node("exit_in_teardown")
class ExitInTeardown(Exiting):
    """End the process, with code 3, when everything is over."""

    during = "teardown"


class Segfaulting(Striking):
    """Reads from address 0."""

    def strike(self) -> None:
        ctypes.string_at(0)


@node("segfault_in_setup")
class SegfaultInSetup(Segfaulting):
    """Crash while the model would be loaded."""

    during = "setup"


@node("segfault_in_process")
class SegfaultInProcess(Segfaulting):
    """Crash on an input."""

    during = "process"


@node("segfault_in_flush")
class SegfaultInFlush(Segfaulting):
    """Crash at the end of the stream."""

    during = "flush"


@node("segfault_in_teardown")
class SegfaultInTeardown(Segfaulting):
    """Crash when everything is over."""

    during = "teardown"


@node("hold_the_gil")
class HoldTheGil(Striking):
    """Sleep in C and never release the GIL, so that no other thread of the process runs Python."""

    class Params(StrikeParams):
        during: Moment = "process"

    params: Params

    def strike(self) -> None:
        while True:  # a signal with a handler ends the call
            ctypes.PyDLL(None).pause()

    def _moment(self) -> Moment:
        return self.params.during


@node("stop_in_process")
class StopInProcess(Striking):
    """Be stopped by SIGSTOP whenever it is continued: alive, and deaf to SIGTERM."""

    during = "process"

    def strike(self) -> None:
        while True:
            os.kill(os.getpid(), signal.SIGSTOP)


@node("ignore_sigterm")
class IgnoreSigterm(Hanging):
    """Don't heed SIGTERM, and never give an input back."""

    during = "process"

    def setup(self) -> None:
        super().setup()
        ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(1))  # SIG_IGN, from any thread


@node("never_read")
class NeverRead(Node):
    """Take the first input and no other, wide awake: its event loop goes on."""

    async def process(self, item: Value) -> Value | None:
        await asyncio.Event().wait()
        return item


@node("fork_children")
class ForkChildren(FaultNode):
    """Fork children that hold everything that the process has open, and forget them."""

    class Params(NodeParams):
        count: int = Field(3, ge=1)

    params: Params

    def setup(self) -> None:
        for _ in range(self.params.count):
            if os.fork() == 0:
                while True:
                    signal.pause()


@node("setsid_grandchild")
class SetsidGrandchild(FaultNode):
    """Leave a process behind in a session of its own, as a daemon would."""

    def setup(self) -> None:
        script = "import os, signal; os.fork() and os._exit(0); os.setsid(); signal.pause()"
        subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603  # our own script


@node("close_all_fds")
class CloseAllFds(Striking):
    """Close every descriptor that the process has but stdin, stdout and stderr."""

    during = "process"

    def strike(self) -> None:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))


@node("leak_memory")
class LeakMemory(FaultNode):
    """Take more memory for every input, write to it, and keep it."""

    class Params(NodeParams):
        mebibytes: int = Field(16, ge=1, description="for each input")

    params: Params

    def setup(self) -> None:
        self.leaked: list[bytes] = []

    def process(self, item: Value) -> Value | None:
        self.leaked.append(b"\xff" * (self.params.mebibytes << 20))
        return item


@node("hoard_leases")
class HoardLeases(FaultNode):
    """Keep every input for ever, and pass it on."""

    def setup(self) -> None:
        self.hoard: list[Value] = []

    def process(self, item: Value) -> Value | None:
        self.hoard.append(item)
        return item


@node("flood_stdout")
class FloodStdout(FaultNode):
    """Write a mebibyte to stdout for every input."""

    def process(self, item: Value) -> Value | None:
        for _ in range(1024):
            print("x" * 1023)
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


@node("return_rubbish")
class ReturnRubbish(FaultNode):
    """Return something that is no value."""

    def process(self, item: Value) -> Value | None:
        return 42  # type: ignore[return-value]  # that is the fault
