"""The gRPC service: admission, codec and status codes around sessions. It runs no node."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what fails, we say ourselves

from penstock.service.server import running, serve

__all__ = ["running", "serve"]
