"""The gRPC service: admission, codec and status codes around sessions. It runs no node."""

from penstock.service.server import running, serve

__all__ = ["running", "serve"]
