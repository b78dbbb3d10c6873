"""Exceptions as ``ErrorResponse``, and an ``ErrorResponse`` as the client's exception."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from penstock.errors import (
    AccessError,
    Fault,
    InputError,
    InvalidValueError,
    ManifestError,
    NodeError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    ServiceError,
    SessionCancelledError,
    SessionError,
    SessionIdleError,
    StallError,
    VersionError,
)
from penstock.wire.v1 import common_pb2 as pb

_TYPES: tuple[tuple[type[PenstockError], pb.ErrorType], ...] = (
    (ManifestError, pb.ERROR_TYPE_VALIDATION),
    (AccessError, pb.ERROR_TYPE_AUTHENTICATION),
    (InvalidValueError, pb.ERROR_TYPE_TYPE_VALIDATION),
    (InputError, pb.ERROR_TYPE_VALIDATION),
    (SessionIdleError, pb.ERROR_TYPE_RESOURCE_LIMIT),
    (SessionCancelledError, pb.ERROR_TYPE_INTERNAL),
    (SessionError, pb.ERROR_TYPE_VALIDATION),
    (ResourceLimitError, pb.ERROR_TYPE_RESOURCE_LIMIT),
    (StallError, pb.ERROR_TYPE_RESOURCE_LIMIT),
    (NodeError, pb.ERROR_TYPE_NODE_EXECUTION),
    (VersionError, pb.ERROR_TYPE_VERSION_MISMATCH),
)
"""The first that fits; everything else is the service's own fault."""

_PATH = re.compile(r"""(?<![\w/])/[^\s/'",:;()\\]+(?:/[^\s/'",:;()\\]+)+/?""")
"""An absolute path of at least two steps."""
_PREFIX = "ERROR_TYPE_"
_ELSEWHERE = ("node_id", "traceback", "stacks", "error_type", "context")
"""Facts with a field of their own in the message."""
_ABOUT_A_NODE = (NodeError, InputError)
_FRAME = '  File "'
_CRASH = "Fatal Python error: "
"""What ``faulthandler`` begins with, when it tells on stderr where a process was that dies."""
_IN_GROUP = re.compile(r"^ *\| ")
"""What stands before the lines of an exception group's stacks."""
_ABOVE = re.compile(
    rf"{re.escape(str(Path(__file__).parents[2]))}/|.*/(?:site|dist)-packages/|.*/lib/python3\.\d+/"
)
"""Where the service has its files, and all that is installed: what follows says which one it is."""
_OUR_FOLDERS = tuple(
    f"/penstock/{name}/" for name in ("executors", "session", "service", "data", "bridges")
)


def encode_error(error: PenstockError) -> pb.ErrorResponse:
    """What went wrong, with its facts as a JSON object in ``context``.

    ``failing_node_id`` is the node that failed, or that an input was for which it can't take.
    ``stack_trace`` is the failing node's, never the service's: of what it raised, of where it was
    when its time was up, or when it crashed, as far as the last lines of its stderr have that.
    """
    facts = {name: fact for name, fact in vars(error).items() if name not in _ELSEWHERE}
    if "stderr" in facts:
        facts["stderr"] = _without_our_frames(facts["stderr"])
    kind = error_type(error)
    tell = _without_paths if kind == pb.ERROR_TYPE_INTERNAL else _clean
    return pb.ErrorResponse(
        error_type=kind,
        message=tell(_without_our_frames(str(error))),
        failing_node_id=_clean(error.node_id) if isinstance(error, _ABOUT_A_NODE) else "",
        context=tell(json.dumps(facts, default=_plain)) if facts else "",
        stack_trace=_clean(_without_our_frames(_stack_trace(error))),
    )


def _without_our_frames(text: str) -> str:
    """A node's stack without what lies below the node: nothing to its author, and our paths.

    Of what is installed here it names the files, and not where they are. Line by line, each looked
    at once: the text is the node's, or its client's.
    """
    kept, is_below = [], False
    for line in text.split("\n"):
        said = _IN_GROUP.sub("", line)
        path = _path_in(said)
        is_ours = any(folder in path for folder in _OUR_FOLDERS)
        is_below = is_ours or (is_below and said.startswith("    "))
        if not is_below:
            kept.append(line.replace(path, _named(path), 1))
    return "\n".join(kept)


def _path_in(line: str) -> str:
    """The file of a line of a stack that says where something was; empty for any other."""
    if not line.startswith(_FRAME):
        return ""
    path, _, rest = line.removeprefix(_FRAME).partition('"')
    return path if rest.startswith(", line ") else ""


def _named(path: str) -> str:
    above = _ABOVE.match(path)
    return path if above is None else path[above.end() :]


def _stack_trace(error: PenstockError) -> str:
    if isinstance(error, NodeExecutionError):
        return error.traceback
    if isinstance(error, NodeExitedError) and error.signal is not None:
        _, sign, dump = error.stderr.rpartition(_CRASH)
        return sign and sign + dump
    return error.stacks if isinstance(error, NodeTimeoutError) else ""


def error_type(error: PenstockError) -> pb.ErrorType | str:
    """The protocol's type for an exception, by number or by name."""
    if isinstance(error, ServiceError):
        return _PREFIX + error.error_type
    fitting = (number for cls, number in _TYPES if isinstance(error, cls))
    return next(fitting, pb.ERROR_TYPE_INTERNAL)


def decode_error(message: pb.ErrorResponse) -> ServiceError:
    """The exception that a client raises for an ``ErrorResponse``."""
    known = message.error_type in pb.ErrorType.values()
    name = pb.ErrorType.Name(message.error_type) if known else str(message.error_type)
    return ServiceError(
        message.message,
        error_type=name.removeprefix(_PREFIX),
        node_id=message.failing_node_id,
        context=message.context,
        traceback=message.stack_trace,
    )


def _plain(fact: Any) -> Any:
    return dataclasses.asdict(fact) if isinstance(fact, Fault) else str(fact)


def _without_paths(text: str) -> str:
    """A failure of the service's own, which tells nobody where it has its files."""
    return _PATH.sub("…", _clean(text))


def _clean(text: str) -> str:
    """Text that a protobuf string can hold: output of a process may have lone surrogates."""
    return text.encode("utf-8", "replace").decode()
