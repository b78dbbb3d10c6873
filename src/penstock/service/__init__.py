"""The gRPC service: admission, codec and status codes around sessions.

It runs no node, but all its clients share its event loop. On that their messages are decoded, their
manifests read and planned, and up to 64 KiB of JSON parsed: what a client can make large is bounded
before that, or done on a thread.
"""

import logging
import os

from penstock.service.polling import poll_directly

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what fails, we say ourselves
poll_directly()

from penstock.service.server import check, running, serve  # noqa: E402  # see above

__all__ = ["check", "running", "serve"]


def _tells_no_secret(record: logging.LogRecord) -> bool:
    """Whether a record of gRPC's is without metadata: it logs values that are no text, whole."""
    return not str(record.msg).startswith("Invalid encoding on ")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record isn't that a method's name is no text, which the listener says, and seldom.

    Nor that a client has left before it had its answer, as clients do: that is a traceback each.
    """
    left = str(record.msg).startswith("ExecuteBatchError raised in core")
    return not (left or isinstance(record.msg, UnicodeDecodeError))


for filtering in (_tells_no_secret, _is_news):
    logging.getLogger("grpc._cython.cygrpc").addFilter(filtering)
