"""Keeps room for newcomers: where connections crowd, some that nobody uses are closed.

gRPC bounds connections, and takes whoever comes first: clients that connect and say nothing would
keep everybody else out. It tells nothing of a connection but by its calls, and can't close a single
one, so its sockets are looked for among the descriptors, and shut down; gRPC then closes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import heapq
import itertools
import logging
import os
import socket
import stat
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote

from penstock.service.pacing import Seldom, beside
from penstock.service.status import Context
from penstock.service.turns import Behaviour

_FILES = "/proc/self/fd"
_LOOKED_EACH_S = 0.1
"""How often it is looked whether there is room; nothing tells of a connection that comes."""
_SPELL_S = 0.0005
"""How long descriptors are looked at, or shut, before calls have a turn, which takes as long."""
_FEW = 32
"""How many, before it is looked at the clock."""
_log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
Peer: TypeAlias = tuple[str, int]
"""The other end of a connection: address and port."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An open one: ``inode`` is its socket's, which ``fd`` leads to for now."""

    inode: int
    fd: int
    peer: Peer

    def shut(self) -> None:
        """End it; harmless where that has happened, and the descriptor leads to something else."""
        with contextlib.suppress(OSError), _copied(self.fd) as sock:
            if os.fstat(sock.fileno()).st_ino == self.inode:
                sock.shutdown(socket.SHUT_RDWR)


class Crowd:
    """The connections to a service, of which there are at most ``most``.

    A quarter of them is kept free, as long as there are some without a call in progress. Those
    are closed first of which an address has most; of these who has never made a call; of these
    the oldest. So many from one address keep nobody out who comes from another.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: Counter[Peer] = Counter()
        self._callers: dict[Peer, None] = {}
        self._peers: dict[int, Peer | None] = {}

    def using(self, behaviour: Behaviour) -> Behaviour:
        """A method that shows which connections are used."""

        async def call(requests: Any, context: Context) -> Any:
            peer = _peer(context.peer())
            if peer is None:
                return await behaviour(requests, context)
            self._note_caller(peer)
            self._calls[peer] += 1
            try:
                return await behaviour(requests, context)
            finally:
                self._calls[peer] -= 1
                if not self._calls[peer]:
                    del self._calls[peer]

        return call

    @contextlib.asynccontextmanager
    async def watching(self, port: int | None) -> AsyncIterator[None]:
        """Keep room among the connections to a port within the block.

        None is a Unix socket: only programs of this machine connect, and they have no addresses.
        """
        if port is None:
            yield
            return
        async with beside(self._watch(port), "crowd"):
            yield

    async def _watch(self, port: int) -> None:
        seldom = Seldom()
        while True:
            closing = 0
            try:
                closing = await self._make_room(port)
            except OSError as exc:  # no descriptor is left to look with
                _log.warning("connections can't be looked at: %s", exc)
            if closed := seldom.add(closing):
                _log.warning("connections crowd: closed %d that had no call", closed)
            await asyncio.sleep(_LOOKED_EACH_S)

    async def _make_room(self, port: int) -> int:
        """Close what is too much; gives how many."""
        allowed = self._most - self._most // 4
        if _open_files() <= allowed:
            return 0
        connections = await self._connections(port)
        unused = [one for one in connections if one.peer not in self._calls]
        leaving = first_to_leave(unused, self._callers, len(connections) - allowed)
        async for few in _in_spells(leaving):
            for one in few:
                if one.peer not in self._calls:  # as before the others had their turn
                    one.shut()
        return len(leaving)

    async def _connections(self, port: int) -> list[Connection]:
        """All there are to a port, the oldest first."""
        fds: dict[int, int] = {}
        with os.scandir(_FILES) as files:
            async for few in _in_spells(files):
                for fd in (int(file.name) for file in few):
                    inode = _socket_at(fd)
                    if inode is not None:
                        fds[inode] = fd
                        if inode not in self._peers:
                            self._peers[inode] = _other_end(fd, port)
        self._peers = {inode: peer for inode, peer in self._peers.items() if inode in fds}
        connections: list[Connection] = []
        async for few_peers in _in_spells(self._peers.items()):
            connections += [
                Connection(inode, fds[inode], peer) for inode, peer in few_peers if peer is not None
            ]
        return connections

    def _note_caller(self, peer: Peer) -> None:
        """Remember the last, of which there can't be more with a connection."""
        self._callers.pop(peer, None)
        self._callers[peer] = None
        if len(self._callers) > self._most:
            del self._callers[next(iter(self._callers))]


def first_to_leave(
    unused: Iterable[Connection], callers: Container[Peer], count: int
) -> Sequence[Connection]:
    """So many of the connections without a call, of which the oldest come first."""
    silent, quiet = dict[str, list[Connection]](), dict[str, list[Connection]]()
    for one in unused:
        (quiet if one.peer in callers else silent).setdefault(one.peer[0], []).append(one)
    addresses = {**silent, **quiet}
    queues = [deque(silent.get(at, []) + quiet.get(at, [])) for at in addresses]
    longest = [(-len(queue), number) for number, queue in enumerate(queues)]
    heapq.heapify(longest)
    leaving: list[Connection] = []
    while longest and len(leaving) < count:
        _, number = heapq.heappop(longest)
        leaving.append(queues[number].popleft())
        if queues[number]:
            heapq.heappush(longest, (-len(queues[number]), number))
    return leaving


async def _in_spells(items: Iterable[ItemT]) -> AsyncIterator[Sequence[ItemT]]:
    """All of them, a few at a time; after each spell others have their turn."""
    rest = iter(items)
    until = time.perf_counter() + _SPELL_S
    while few := list(itertools.islice(rest, _FEW)):
        yield few
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + _SPELL_S


def _open_files() -> int:
    """How many descriptors this process has; kernels before 6.2 have them counted."""
    return os.stat(_FILES).st_size or len(os.listdir(_FILES))


def _socket_at(fd: int) -> int | None:
    """The inode of the socket that a descriptor leads to, if it leads to one."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else None


def _other_end(fd: int, port: int) -> Peer | None:
    """Who is connected to a port by this descriptor; None where it leads to anything else.

    Raises ``OSError`` where no descriptor is left to look with.
    """
    try:
        with _copied(fd) as sock:
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            if sock.getsockname()[1] != port:
                return None
            host, number, *_ = sock.getpeername()
    except OSError as exc:
        if exc.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    return _plain(host), number


@contextlib.contextmanager
def _copied(fd: int) -> Iterator[socket.socket]:
    """The socket, by a descriptor that nobody else closes meanwhile; raises ``OSError``."""
    copy = os.dup(fd)
    try:
        sock = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with sock:
        yield sock


def _peer(said: str) -> Peer | None:
    """The other end as gRPC writes it; None for a client on a Unix socket."""
    kind, _, rest = said.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    host, _, port = unquote(rest).rpartition(":")
    return _plain(host.strip("[]")), int(port)


def _plain(host: str) -> str:
    """An address without its zone; one of IPv4 as such, though it came by a socket of IPv6."""
    return host.partition("%")[0].removeprefix("::ffff:")
