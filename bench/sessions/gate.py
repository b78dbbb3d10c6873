"""Holds a node back until it is let go, by a datagram to an abstract address."""

from __future__ import annotations

import socket

_OPEN = b"open"


class Gate:
    """Closed again after each ``wait``."""

    def __init__(self, link: str, node_id: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(_address(link, node_id))

    def wait(self) -> None:
        self._sock.recv(len(_OPEN))

    def close(self) -> None:
        self._sock.close()


def open_gate(link: str, node_id: str) -> None:
    """Let the node that waits at the gate pass, now or when it comes there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(_OPEN, _address(link, node_id))


def _address(link: str, node_id: str) -> str:
    return f"\0{link}.{node_id}.gate"
