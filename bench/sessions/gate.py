"""Holds a node back until it is let go, by a datagram to an abstract address."""

from __future__ import annotations

import socket

_OPEN = b"open"


class Gate:
    """Closed again after each ``wait``."""

    def __init__(self, name: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(_address(name))

    def wait(self) -> None:
        self._sock.recv(len(_OPEN))

    def close(self) -> None:
        self._sock.close()


def open_gate(name: str) -> None:
    """Let who waits at the gate pass, now or when it comes there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(_OPEN, _address(name))


def _address(name: str) -> str:
    return f"\0{name}.gate"
