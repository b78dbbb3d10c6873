"""gRPC over HTTP/2, served on the event loop that the lanes of sessions are on.

What a chunk passes through is here: frames of data and their windows, messages and their calls.
Headers, settings, pings and whatever else is rare is left to ``h2``. See docs/decisions/0040.
"""

from penstock.service.rpc.call import Call, CallOverError, UnreadableError
from penstock.service.rpc.server import Server

__all__ = ["Call", "CallOverError", "Server", "UnreadableError"]
