"""When blank hosts are forked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from penstock.executors.multiprocess.transport import socket_pair
from penstock.session.hosting.hosts import BlankHost, Hosts


class Nursery:
    """Stands in for the zygote: counts what is forked, and keeps it alive."""

    def __init__(self) -> None:
        self.forked: asyncio.Queue[BlankHost] = asyncio.Queue()
        self._peers: list[BlankHost] = []

    def fork(self) -> BlankHost:
        (supervisor, its_owner), (control, its_door) = socket_pair(), socket_pair()
        self._peers.append(BlankHost(its_owner, its_door, 0))
        blank = BlankHost(supervisor, control, 0)
        self.forked.put_nowait(blank)
        return blank

    def end(self) -> None:
        """All hosts die."""
        while self._peers:
            self._peers.pop().close()


@pytest.fixture
def nursery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    made = Nursery()
    monkeypatch.setattr(BlankHost, "fork", made.fork)
    yield made
    made.end()


async def test_the_next_host_is_forked_when_a_session_has_had_time_to_start(
    nursery: Nursery,
) -> None:
    hosts = Hosts(1)
    hosts.refill()
    first = nursery.forked.get_nowait()
    taken = hosts.take()
    assert taken is first
    assert nursery.forked.empty()
    async with asyncio.timeout(10):
        await nursery.forked.get()
    hosts.close()
    taken.close()


async def test_sessions_that_come_together_are_refilled_together(nursery: Nursery) -> None:
    hosts = Hosts(2)
    hosts.refill()
    taken = [hosts.take() for _ in range(3)]
    assert nursery.forked.qsize() == 3  # none waited for the third
    async with asyncio.timeout(10):
        for _ in range(5):
            await nursery.forked.get()
    hosts.close()
    for blank in taken:
        blank.close()


async def test_a_host_that_died_while_it_waited_is_not_given_away(nursery: Nursery) -> None:
    hosts = Hosts(1)
    hosts.refill()
    nursery.end()
    taken = hosts.take()
    assert not taken.is_gone
    hosts.close()
    taken.close()


async def test_nothing_is_forked_after_the_end(nursery: Nursery) -> None:
    hosts = Hosts(1)
    taken = hosts.take()
    hosts.close()
    hosts.refill()
    assert nursery.forked.qsize() == 1
    taken.close()
