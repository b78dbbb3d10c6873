"""The gRPC service: admission, codec and status codes around sessions.

It runs no node, but all its clients share its event loop. On that their messages are decoded, their
manifests read and planned, and up to 64 KiB of JSON parsed: what a client can make large is bounded
before that, or done on a thread.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what fails, we say ourselves

from penstock.service.server import check, running, serve  # see above

__all__ = ["check", "running", "serve"]
