"""Small manifests and nodes for the tests of sessions."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from pydantic import Field

from penstock.data import Audio, Binary, ExecutorType, Json, Tensor, Text, Value, replace
from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import encoded
from penstock.nodes import Join, Node, NodeParams, node
from penstock.session import Output, Session, SessionOptions


def chain(*nodes, connections=None, **multiprocess):
    """A manifest of nodes ``n0``, ``n1``, …; each is a type or (type, params)."""
    named = [spec if isinstance(spec, tuple) else (spec, {}) for spec in nodes]
    if connections is None:
        connections = [(f"n{i}", f"n{i + 1}") for i in range(len(named) - 1)]
    return {
        "version": "v1",
        "metadata": {"name": "test", "multiprocess": multiprocess},
        "nodes": [
            {"id": f"n{i}", "node_type": kind, "params": params}
            for i, (kind, params) in enumerate(named)
        ],
        "connections": [{"from": source, "to": target} for source, target in connections],
    }


def options(more_nodes=(), **more):
    return SessionOptions(nodes=(__file__, "penstock.testing.faults", *more_nodes), **more)


def diamond(source, left, right, join, **multiprocess):
    """A manifest of one source with two arms that meet again."""
    edges = [("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3")]
    return chain(source, left, right, join, connections=edges, **multiprocess)


async def run(manifest, inputs, session_options=None) -> list[Output]:
    """Send values to ``n0`` while reading what comes out."""
    async with Session(manifest, session_options or options()) as session:
        return await through(session, inputs)


async def through(session, inputs) -> list[Output]:
    """Send values to ``n0`` of a session while reading what comes out."""

    async def feed():
        for value in inputs:
            await session.send("n0", value)
        await session.end()

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        return [output async for output in session.outputs()]


class TimesParams(NodeParams):
    times: int = Field(2, ge=0)


class Repeat(Node):
    """Gives each text ``times`` times, numbered."""

    Params = TimesParams
    params: TimesParams

    def process(self, item: Text) -> Iterator[Text]:
        for number in range(self.params.times):
            yield Text(f"{item.text}{number}")


@node("repeat")
class RepeatInProcess(Repeat):
    """In a process."""


@node("repeat_native", executor=ExecutorType.NATIVE)
class RepeatNative(Repeat):
    """In the session's process, on a thread."""


class Collect(Node):
    """Gives nothing until the end, then everything that it got."""

    def setup(self) -> None:
        self._texts: list[str] = []

    def process(self, item: Text) -> None:
        self._texts.append(item.text)

    def flush(self) -> Text:
        return Text(",".join(self._texts))


@node("collect")
class CollectInProcess(Collect):
    """In a process."""


@node("collect_native", executor=ExecutorType.NATIVE)
class CollectNative(Collect):
    """In the session's process."""


class Shout(Node):
    """Asynchronous in every method."""

    async def setup(self) -> None:
        await asyncio.sleep(0)
        self._count = 0

    async def process(self, item: Text) -> AsyncIterator[Text]:
        await asyncio.sleep(0)
        self._count += 1
        yield Text(item.text.upper())
        await asyncio.sleep(0)
        yield Text("!")

    async def flush(self) -> Text:
        return Text(f"{self._count} shouted")

    async def teardown(self) -> None:
        await asyncio.sleep(0)


@node("shout")
class ShoutInProcess(Shout):
    """In a process."""


@node("shout_native", executor=ExecutorType.NATIVE)
class ShoutNative(Shout):
    """In the session's process."""


class Count(Node):
    """Produces numbers until it is stopped, or ``times`` of them."""

    Params = TimesParams
    params: TimesParams

    def produce(self) -> Iterator[Json]:
        number = 0
        while self.params.times == 0 or number < self.params.times:
            number += 1
            yield Json(number)


@node("count")
class CountInProcess(Count):
    """In a process."""


@node("count_native", executor=ExecutorType.NATIVE)
class CountNative(Count):
    """In the session's process."""


@node("origin")
class Origin(Node):
    """Says where each input came from."""

    def process(self, item: Text) -> Text:
        arrival = self.ctx.arrival
        assert arrival is not None
        return Text(f"{item.text} from {arrival.origin} #{arrival.sequence}.{arrival.part}")


@node("tone")
class Tone(Node):
    """Allocates its output where it can leave without a copy."""

    def process(self, item: Audio) -> Audio:
        samples = self.ctx.allocate(item.samples.shape, item.samples.dtype)
        samples[:] = item.samples * 2
        return Audio(samples, item.sample_rate_hz)


@node("each_of_both")
class EachOfBoth(Join):
    """Gives both inputs on, as they are."""

    def process(self, **items: Audio) -> Iterator[Audio]:
        yield from items.values()


@node("louder")
class Louder(Node):
    """Makes its output where numpy likes."""

    def process(self, item: Audio) -> Audio:
        return replace(item, samples=item.samples * 2)


@node("retag")
class Retag(Node):
    """Changes what is said about the audio, and nothing in it."""

    def process(self, item: Audio) -> Audio:
        return replace(item, sample_rate_hz=8_000, metadata={"tagged": "yes"})


@node("halves")
class Halves(Node):
    """Cuts every input in two, by views."""

    def process(self, item: Audio) -> Iterator[Audio]:
        middle = len(item.samples) // 2
        yield replace(item, samples=item.samples[:middle])
        yield replace(item, samples=item.samples[middle:])


@node("every_other")
class EveryOther(Node):
    """A view with holes."""

    def process(self, item: Tensor) -> Tensor:
        return Tensor(item.array[:, ::2])


@node("both")
class Both(Node):
    """Gives every input on, and a text about it."""

    def process(self, item: Value) -> Iterator[Value]:
        yield item
        yield Text(str(item.kind))


@node("only_text", executor=ExecutorType.NATIVE)
class OnlyText(Node):
    """Accepts text, and nothing else reaches it."""

    blocking = False

    def process(self, item: Text) -> Text:
        assert type(item) is Text
        return item


@node("slow_setup", executor=ExecutorType.NATIVE)
class SlowSetup(Node):
    """Waits in setup, as a model that loads, and tells about it."""

    async def setup(self) -> None:
        self.ctx.progress(0.5, "half of the weights")
        await asyncio.Event().wait()

    def process(self, item: Text) -> Text:
        return item


@node("awaitable_from_plain")
class AwaitableFromPlain(Node):
    """A plain method that gives a coroutine, in a process without an event loop."""

    def process(self, item: Text) -> Text:
        return asyncio.sleep(1)  # type: ignore[return-value]


@node("interpreter")
class Interpreter(Node):
    """Gives the environment variable that a text names."""

    def process(self, item: Text) -> Text:
        return Text(os.environ.get(item.text, "none"))


class CancelledInside(Node):
    """Awaits a task of its own that was cancelled."""

    async def process(self, item: Text) -> Text:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task
        return item


@node("cancelled_inside")
class CancelledInsideProcess(CancelledInside):
    """In a process."""


@node("cancelled_inside_native", executor=ExecutorType.NATIVE)
class CancelledInsideNative(CancelledInside):
    """In the session's process."""


@node("exits_native", executor=ExecutorType.NATIVE)
class ExitsNative(Node):
    """Would take the whole program with it."""

    blocking = False

    def process(self, item: Text) -> Text:
        sys.exit(3)


@node("leaves_chatter")
class LeavesChatter(Node):
    """Starts something that never stops writing, and dies."""

    def process(self, item: Text) -> Text:
        subprocess.Popen(["yes"])
        os._exit(3)


class FailsToSetUp(Node):
    """Takes something, fails, and says when it has let go."""

    def setup(self) -> None:
        raise ValueError("half way")

    def process(self, item: Text) -> Text:
        return item

    def teardown(self) -> None:
        raise ValueError("let go")


@node("fails_to_set_up")
class FailsToSetUpProcess(FailsToSetUp):
    """In a process."""


@node("fails_to_set_up_native", executor=ExecutorType.NATIVE)
class FailsToSetUpNative(FailsToSetUp):
    """In the session's process."""


@node("breaks_its_word")
class BreaksItsWord(Node):
    """Gives what it doesn't declare."""

    def process(self, item: Text) -> Text:
        return Json(1)  # type: ignore[return-value]  # that is the fault


@node("trickle")
class Trickle(Node):
    """Gives many outputs for one input, none too fast for who reads them."""

    def process(self, item: Text) -> Iterator[Text]:
        for number in range(300):
            time.sleep(0.001)
            yield Text(str(number))


@node("slow")
class Slow(Node):
    """Works for 10 ms on each input."""

    def process(self, item: Value) -> Value:
        time.sleep(0.01)
        return item


class UnreadableError(Exception):
    """Can't even be told."""

    def __str__(self) -> str:
        raise ValueError("no")


class Awkward(Node):
    """Raises what is named."""

    def process(self, item: Text) -> Text:
        raise {
            "unreadable": UnreadableError(),
            "generator exit": GeneratorExit(),
            "surrogate": ValueError(os.fsdecode(b"\xff")),
            "group": BaseExceptionGroup("several", [GeneratorExit()]),
        }[item.text]


@node("awkward")
class AwkwardProcess(Awkward):
    """In a process."""


@node("awkward_native", executor=ExecutorType.NATIVE)
class AwkwardNative(Awkward):
    """On the event loop."""

    blocking = False


@node("bad_close", executor=ExecutorType.NATIVE)
class BadClose(Node):
    """A producer whose device can't be closed."""

    blocking = False

    def produce(self) -> Iterator[Text]:
        try:
            while True:
                yield Text("x")
        finally:
            raise ValueError("device is busy")


@node("deaf", executor=ExecutorType.NATIVE)
class Deaf(Node):
    """Doesn't heed its cancellation, until it is told to."""

    heard: asyncio.Event

    async def process(self, item: Text) -> Text:
        Deaf.heard = asyncio.Event()
        while not Deaf.heard.is_set():
            try:
                await Deaf.heard.wait()
            except asyncio.CancelledError:
                continue
        return item


class WhichSocket(NodeParams):
    which: int = Field(0, ge=0)


@node("talks_rubbish")
class TalksRubbish(Node):
    """Writes what is no frame on one of the sockets that its process has, and goes on."""

    Params = WhichSocket
    params: WhichSocket

    def process(self, item: Text) -> Text:
        links = {int(link.name): link for link in Path("/proc/self/fd").iterdir()}
        sockets = [number for number in sorted(links) if links[number].is_socket()]
        with socket.socket(fileno=os.dup(sockets[self.params.which])) as sock:
            sock.send(b"\x01\x01rubbish")
        return item


class KnowsItsControl(Node):
    """Finds the control channel, which only its worker should know, before any lane is there."""

    def setup(self) -> None:
        leash = self.ctx._host._leash.fileno()  # type: ignore[attr-defined]
        links = (link for link in Path("/proc/self/fd").iterdir() if link.is_socket())
        [self._number] = {int(link.name) for link in links} - {leash}

    def control(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self._number))


@node("babbles")
class Babbles(KnowsItsControl):
    """Says what is no message to its session, and goes on."""

    def process(self, item: Text) -> Text:
        with self.control() as control:
            control.send(b"rubbish")
        return item


@node("hangs_up")
class HangsUp(KnowsItsControl):
    """Closes its control channel and never gives its input back."""

    def process(self, item: Text) -> Text:
        with self.control() as control:
            control.shutdown(socket.SHUT_RDWR)
        threading.Event().wait()
        return item


@node("raves")
class Raves(Node):
    """Raises with far too much to say."""

    def process(self, item: Text) -> Text:
        raise ValueError("x" * 50_000_000 + "the end")


@node("gives_descriptors")
class GivesDescriptors(KnowsItsControl):
    """Sends its session descriptors that nobody asked for."""

    def process(self, item: Text) -> Text:
        word = encoded(messages.Progress("loading_model", 0.5, ""))
        with self.control() as control:
            socket.send_fds(control, [word], [0, 1, 2])
        return item


@node("signalled")
class Signalled(Node):
    """Ends by a signal that has no name."""

    def process(self, item: Text) -> Text:
        os.kill(os.getpid(), 40)
        return item


@node("hungry")
class Hungry(Node):
    """Takes memory, in the way that its input says, and keeps it."""

    def process(self, item: Text) -> Text:
        if item.text == "at once":
            self.kept = bytearray(1 << 30)
        elif item.text == "numpy":
            self.array = np.ones(1 << 28)
        elif item.text == "bit by bit":
            self.bits: list[object] = []
            while True:
                self.bits.append([None] * 10)
        return item


@node("fills_shared_memory")
class FillsSharedMemory(Node):
    """Gives messages that are larger than what its process may use for itself."""

    def process(self, item: Text) -> Binary:
        data = self.ctx.allocate(240 << 20, np.uint8)
        data[:] = 1
        return Binary(data)


@node("many_threads")
class ManyThreads(Node):
    """Starts as many threads as its input says, and lets them all wait at the same time."""

    def process(self, item: Text) -> Text:
        done = threading.Event()
        threads = [threading.Thread(target=done.wait) for _ in range(int(item.text))]
        for thread in threads:
            thread.start()
        done.set()
        for thread in threads:
            thread.join()
        return Text(str(len(threads)))


@node("tells_limits")
class TellsLimits(Node):
    """Says what the kernel allows its process."""

    def process(self, item: Text) -> Json:
        attributes, nbytes = ctypes.create_string_buffer(128), ctypes.c_size_t()
        ctypes.CDLL(None).pthread_getattr_default_np(attributes)
        ctypes.CDLL(None).pthread_attr_getstacksize(attributes, ctypes.byref(nbytes))
        return Json(
            {
                "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
                "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
                "stack": threading.stack_size(),
                "c_stack": nbytes.value,
            }
        )


@node("opens_files")
class OpensFiles(Node):
    """Opens files until it may have no more."""

    def process(self, item: Text) -> Text:
        self.files: list[IO[bytes]] = []
        while True:
            self.files.append(open(os.devnull, "rb"))  # noqa: SIM115  # to be kept


@node("loses_stdout")
class LosesStdout(Node):
    """Writes something at last that nobody can read any more."""

    def process(self, item: Text) -> Text:
        read, write = os.pipe()
        os.dup2(write, 1)
        os.close(read)
        os.close(write)
        sys.stdout.write("to nobody")
        return item
