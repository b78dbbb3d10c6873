"""A loop that is a reactor: its own descriptors and a reactor's are served from one wait."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.executors.multiprocess.reactor_loop import (
    ReactorLoop,
    ReactorSelector,
    reactor_of,
    release_reactor,
)

LONG_S = 10.0
MANY = 1 << 20


@pytest.fixture
def selector() -> Iterator[ReactorSelector]:
    with ReactorSelector() as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.fixture
def bell() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    yield fd
    os.close(fd)


def in_time(call: Callable[[], Any]) -> Any:
    """What a call gives that might wait for ever."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(call()), daemon=True)
    thread.start()
    thread.join(LONG_S)
    assert not thread.is_alive(), "it waits, with something to do"
    return given[0]


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=ReactorLoop) as runner:
        return runner.run(main)


def test_both_kinds_are_served_by_one_wait(
    selector: ReactorSelector, pair: tuple[socket.socket, socket.socket], bell: int
) -> None:
    """The reactor's are handled by then, the selector's told."""
    rung = []
    selector.reactor.register(bell, lambda _mask: rung.append(os.eventfd_read(bell)))
    selector.register(pair[0], selectors.EVENT_READ, "data")
    os.eventfd_write(bell, 3)
    pair[1].send(b"x")
    ((key, events),) = selector.select(LONG_S)
    assert (key.fileobj, key.data, events) == (pair[0], "data", selectors.EVENT_READ)
    assert rung == [3]


def test_what_is_handled_is_no_end_of_a_wait(selector: ReactorSelector, bell: int) -> None:
    rung = []

    def ring_again(_mask: int) -> None:
        rung.append(os.eventfd_read(bell))
        if len(rung) < 5:
            os.eventfd_write(bell, 1)

    selector.reactor.register(bell, ring_again)
    os.eventfd_write(bell, 1)
    assert selector.select(0.05) == []
    assert rung == [1] * 5


def test_a_wait_ends_where_a_callback_waits(selector: ReactorSelector, bell: int) -> None:
    callbacks: list[str] = []
    selector.reactor.callbacks = callbacks

    def schedule(_mask: int) -> None:
        os.eventfd_read(bell)
        callbacks.append("to be called")

    selector.reactor.register(bell, schedule)
    os.eventfd_write(bell, 1)
    assert in_time(selector.select) == []


def test_a_chore_that_schedules_a_callback_keeps_the_loop_from_waiting(
    selector: ReactorSelector,
) -> None:
    callbacks: list[str] = []
    selector.reactor.callbacks = callbacks
    selector.reactor.defer(lambda: callbacks.append("to be called"))
    assert in_time(selector.select) == []


@pytest.mark.parametrize("way", ["handler", "chore"])
def test_a_timer_that_is_set_as_it_waits_is_heeded(way: str, bell: int) -> None:
    """There is no other, so that the loop would wait for ever."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        reactor = reactor_of(loop)

        def set_timer(_mask: int = 0) -> None:
            loop.call_later(0.01, done.set_result, "done")

        def ring(_mask: int) -> None:
            os.eventfd_read(bell)
            set_timer() if way == "handler" else reactor.defer(set_timer)

        reactor.register(bell, ring)
        threading.Timer(0.05, os.eventfd_write, [bell, 1]).start()
        said = await done
        reactor.unregister(bell)
        return said

    assert in_time(lambda: run(main())) == "done"


def test_a_handler_may_stop_the_loop(bell: int) -> None:
    def forever() -> str:
        loop = ReactorLoop()
        loop.reactor.register(bell, lambda _mask: (os.eventfd_read(bell), loop.stop()))
        os.eventfd_write(bell, 1)
        loop.run_forever()
        loop.close()
        return "stopped"

    assert in_time(forever) == "stopped"


def test_another_thread_ends_a_wait_with_a_chore() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        chore = reactor_of(loop).defer
        threading.Timer(0.05, chore, [lambda: done.set_result("done")]).start()
        return await done

    assert run(main()) == "done"


def test_what_both_ends_of_a_stream_have_to_say_passes() -> None:
    """As asyncio's own selector has it: what can be read and what can be written again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(MANY))
        await writer.drain()
        writer.close()

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        server = asyncio.create_task(serve(*await asyncio.open_connection(sock=theirs)))
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"x" * MANY)
        said = await reader.read(-1)
        writer.close()
        await asyncio.gather(server, writer.wait_closed())
        return said

    assert run(main()) == b"x" * MANY


def test_who_hangs_up_can_be_read_and_written(
    selector: ReactorSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    both = selectors.EVENT_READ | selectors.EVENT_WRITE
    selector.register(pair[0], both)
    pair[1].close()
    ((_, events),) = selector.select(LONG_S)
    assert events == both
    selector.modify(pair[0], selectors.EVENT_READ)
    ((_, events),) = selector.select(LONG_S)
    assert events == selectors.EVENT_READ
    selector.unregister(pair[0])
    assert selector.select(0) == []


def test_what_a_watcher_raises_is_told_and_the_others_are_served(bell: int) -> None:
    told: list[dict[str, Any]] = []
    served = []

    def fail(_mask: int) -> None:
        os.eventfd_read(bell)
        raise ValueError("it broke")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context))
        other = os.eventfd(1)
        reactor = reactor_of(loop)
        reactor.register(bell, fail)
        reactor.register(other, lambda _mask: served.append(os.eventfd_read(other)))
        os.eventfd_write(bell, 1)
        await asyncio.sleep(0.01)
        reactor.unregister(bell)
        reactor.unregister(other)
        os.close(other)

    run(main())
    assert [str(context["exception"]) for context in told] == ["it broke"]
    assert served == [1]


@pytest.mark.parametrize(
    ("closing", "code"),
    [("loop.call_soon(close_all)", 1), ("asyncio.create_task(elsewhere())", -signal.SIGABRT)],
    ids=["in the loop", "in a thread"],
)
def test_a_process_whose_files_are_gone_ends(closing: str, code: int) -> None:
    """It could only wait for ever; a thread that has something for the loop sees that."""
    program = f"""if True:
        import asyncio, os
        from penstock.executors.multiprocess.reactor_loop import ReactorLoop

        def close_all():
            os.closerange(0, 1000)

        async def elsewhere():
            await asyncio.to_thread(close_all)

        async def main():
            loop = asyncio.get_running_loop()
            work = {closing}
            await asyncio.Event().wait()

        asyncio.Runner(loop_factory=ReactorLoop).run(main())
    """
    ended = subprocess.run([sys.executable, "-c", program], timeout=LONG_S, check=False)
    assert ended.returncode == code


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_wants_the_program_to_end_ends_it(error: type[BaseException], bell: int) -> None:
    def end(_mask: int) -> None:
        os.eventfd_read(bell)
        raise error

    async def main() -> None:
        reactor_of(asyncio.get_running_loop()).register(bell, end)
        os.eventfd_write(bell, 1)
        await asyncio.sleep(LONG_S)

    with pytest.raises(error):
        run(main())


def test_a_descriptor_that_was_closed_before_its_turn_is_nobodys(
    selector: ReactorSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Its event was fetched with that of the one that let go of it."""
    first, second = os.eventfd(1), os.eventfd(1)
    served = []

    def let_go(mine: int, other: int) -> Callable[[int], None]:
        def ready(_mask: int) -> None:
            served.append(os.eventfd_read(mine))
            selector.reactor.unregister(other)

        return ready

    selector.reactor.register(first, let_go(first, second))
    selector.reactor.register(second, let_go(second, first))
    assert selector.select(0.01) == []
    assert served == [1]
    for fd in (first, second):
        selector.reactor.unregister(fd)
        os.close(fd)


def test_everything_in_a_loop_has_its_reactor() -> None:
    async def main() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        one, other = reactor_of(loop), reactor_of(loop)
        release_reactor(one, loop)
        chores: list[str] = []
        other.defer(lambda: chores.append("done"))
        await asyncio.sleep(0)
        return one is other, chores == ["done"]

    assert run(main()) == (True, True)


async def test_another_loop_waits_on_a_reactor_for_each(bell: int) -> None:
    """For a program that has made its loop itself."""
    loop = asyncio.get_running_loop()
    assert not isinstance(loop, ReactorLoop)
    one, other = reactor_of(loop), reactor_of(loop)
    assert one is not other
    rung: asyncio.Future[int] = loop.create_future()
    one.register(bell, lambda _mask: rung.set_result(os.eventfd_read(bell)))
    os.eventfd_write(bell, 2)
    async with asyncio.timeout(LONG_S):
        assert await rung == 2
    for reactor in (one, other):
        release_reactor(reactor, loop)
