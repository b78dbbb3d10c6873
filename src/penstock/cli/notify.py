"""Tells whoever started the service (systemd, ``Type=notify``) when it is ready."""

from __future__ import annotations

import os
import socket

_VARIABLE = "NOTIFY_SOCKET"


class Supervision:
    """The socket that the environment names; it is taken out of it, so that no node has it."""

    def __init__(self) -> None:
        self._address = os.environ.pop(_VARIABLE, "").replace("@", "\0", 1)

    def ready(self) -> None:
        """Clients can connect now. Nothing is said where nobody asked."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
            notifying.sendto(b"READY=1", self._address)
