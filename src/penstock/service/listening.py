"""The sockets that a service listens at."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Any

from penstock.service.address import (
    Address,
    cannot_be_bound,
    clear_socket_path,
    ends_of,
)

_BACKLOG = 4096
"""How many connections may wait to be taken; the kernel has a limit of its own (``somaxconn``)."""
_ALL = "::"
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What the system says of an address of a kind that this machine hasn't got."""


def listening_at(address: Address) -> tuple[Sequence[socket.socket], Address]:
    """Sockets that listen at all that an address stands for, and the address that clients use.

    A name may stand for addresses of which this machine has only some; one is enough. Nobody else
    can listen at the same port (``SO_REUSEPORT`` is off). Raises ``ConfigurationError``.
    """
    if address.socket_path is not None:
        clear_socket_path(address.socket_path)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    with contextlib.ExitStack() as bound:
        for family, end in ends_of(address):
            where = end if not sockets else _at_port(end, sockets[0].getsockname()[1])
            try:
                listener = _listener(family, where)
            except OSError as exc:
                if exc.errno not in _NOT_HERE:
                    raise cannot_be_bound(address, exc) from exc
                missing = exc
                continue
            bound.callback(listener.close)
            sockets.append(listener)
            if family == socket.AF_INET6 and end[0] == _ALL:  # of IPv4, too
                break
        if not sockets:
            raise cannot_be_bound(address, missing) from missing
        bound.pop_all()
    if address.socket_path is None:
        address = address.at_port(sockets[0].getsockname()[1])
    return sockets, address


def _listener(family: int, end: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, end[0] != _ALL)
        listener.bind(end)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _at_port(end: Any, port: int) -> Any:
    return (end[0], port, *end[2:])
