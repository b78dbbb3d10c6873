"""Every exception has a type on the wire, and its facts arrive at the client."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from penstock.errors import (
    ConservationError,
    Fault,
    InputError,
    InvalidValueError,
    LaneError,
    ManifestError,
    NodeAddressError,
    NodeError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    SessionClosedError,
    SessionIdleError,
    StallError,
    SupervisionError,
    VersionError,
)
from penstock.nodes.builtin import calculator as builtin
from penstock.wire.errors import decode_error, encode_error
from penstock.wire.v1 import common_pb2 as pb

RAISED = NodeExecutionError(
    "asr",
    during="process",
    exception_type="ValueError",
    exception_message="no",
    traceback="Traceback …",
    stderr="last words",
)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ManifestError([Fault("nodes[0].id", "is empty")]), "VALIDATION"),
        (InputError("wrong node"), "VALIDATION"),
        (InvalidValueError("wrong kind", node_id="asr"), "TYPE_VALIDATION"),
        (NodeAddressError("asr", "takes no inputs"), "VALIDATION"),
        (SessionClosedError("ended"), "VALIDATION"),
        (SessionIdleError(limit_s=1.0), "RESOURCE_LIMIT"),
        (ResourceLimitError("processes", wished=2, free=1, limit=3), "RESOURCE_LIMIT"),
        (StallError(["a", "b"], limit_s=10), "RESOURCE_LIMIT"),
        (RAISED, "NODE_EXECUTION"),
        (NodeExitedError("asr", pid=7, signal="SIGKILL"), "NODE_EXECUTION"),
        (NodeTimeoutError("asr", during="setup", limit_s=1), "NODE_EXECUTION"),
        (VersionError(found="v9", expected="v1"), "VERSION_MISMATCH"),
        (ConservationError("a → b", sent=2, received=1, dropped=0), "INTERNAL"),
        (PenstockError("?"), "INTERNAL"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_an_error_arrives_with_its_type_and_facts(error: PenstockError, name: str) -> None:
    message = pb.ErrorResponse.FromString(encode_error(error).SerializeToString())
    received = decode_error(message)
    assert received.error_type == name
    assert str(received) == str(error)
    assert received.node_id == getattr(error, "node_id", "")
    facts = json.loads(received.context or "{}")
    for fact, value in vars(error).items():
        if fact in facts and not isinstance(value, tuple):
            assert facts[fact] == value


def test_a_manifests_faults_arrive_one_by_one() -> None:
    error = ManifestError([Fault("a", "b", found="c", suggestion="d"), Fault("e", "f")])
    faults = json.loads(encode_error(error).context)["faults"]
    assert [Fault(**fault) for fault in faults] == list(error.faults)


def test_the_stack_trace_is_the_nodes() -> None:
    assert encode_error(RAISED).stack_trace == "Traceback …"
    with pytest.raises(NodeError) as caught:
        raise NodeError("asr", "failed")
    assert encode_error(caught.value).stack_trace == ""


def test_what_lies_below_a_node_is_not_shown() -> None:
    """Neither in a traceback nor in what a crash leaves on stderr."""
    below = "/opt/lib/penstock/executors/node_loop.py"
    traceback = (
        "Traceback (most recent call last):\n"
        f'  File "{below}", line 1, in _work\n    result = work()\n             ^^^^^^\n'
        '  File "/srv/nodes.py", line 2, in process\n    1 / 0\nZeroDivisionError: x\n'
    )
    facts = {"during": "process", "exception_type": "Z", "exception_message": "x"}
    raised = encode_error(NodeExecutionError("n", **facts, traceback=traceback))
    assert raised.stack_trace.splitlines() == [
        "Traceback (most recent call last):",
        '  File "/srv/nodes.py", line 2, in process',
        "    1 / 0",
        "ZeroDivisionError: x",
    ]
    group = "".join(f"  | {line}\n" for line in traceback.splitlines())
    raised = encode_error(NodeExecutionError("n", **facts, traceback=group))
    assert raised.stack_trace.splitlines() == [
        "  | Traceback (most recent call last):",
        '  |   File "/srv/nodes.py", line 2, in process',
        "  |     1 / 0",
        "  | ZeroDivisionError: x",
    ]
    stderr = f'Fatal\n  File "/srv/nodes.py", line 2 in f\n  File "{below}", line 1 in _work'
    crashed = encode_error(NodeExitedError("n", pid=1, signal="SIGSEGV", stderr=stderr))
    for text in (crashed.message, json.loads(crashed.context)["stderr"]):
        assert "/srv/nodes.py" in text
        assert "/opt/lib" not in text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (builtin.__file__, "penstock/nodes/builtin/calculator.py"),
        (np.lib.format.__file__, "numpy/lib/format.py"),
        (json.__file__, "json/__init__.py"),
        ("/opt/other/lib/python3.13/site-packages/a/b.py", "a/b.py"),
        ("/srv/nodes.py", "/srv/nodes.py"),
        ("/srv/a/lib/python/nodes.py", "/srv/a/lib/python/nodes.py"),
    ],
)
def test_where_the_service_is_installed_is_not_shown(path: str, shown: str) -> None:
    """A node of ours, or a library, raises too; whose file it is stays readable."""
    said = f'Traceback\n  File "{path}", line 2, in process\n    1 / 0\nZeroDivisionError: x\n'
    facts = {"during": "process", "exception_type": "Z", "exception_message": "x"}
    raised = encode_error(NodeExecutionError("n", **facts, traceback=said))
    assert raised.stack_trace == said.replace(path, shown)
    crashed = encode_error(NodeExitedError("n", pid=1, signal="SIGSEGV", stderr=said))
    assert f'"{shown}"' in crashed.message


def test_what_a_node_says_is_looked_through_once_whatever_it_is() -> None:
    """At 256 KiB, which is what is heard of a node; twice as much takes twice the time."""
    line = '  File "' + "/penstock/session/" * 14_000
    facts = {"during": "process", "exception_type": "Z", "exception_message": f"\n{line}"}
    error = NodeExecutionError("n", **facts, traceback=line, stderr=line)
    message = encode_error(error)
    assert message.stack_trace == line
    assert message.message.count(line) == 2


def test_output_of_a_process_that_is_no_unicode_can_be_sent() -> None:
    error = NodeExitedError("asr", pid=1, exit_code=1, stderr="\udcff!")
    assert encode_error(error).message.endswith("?!")


def test_an_error_type_of_a_later_protocol_is_kept_as_its_number() -> None:
    later = pb.ErrorResponse.FromString(b"\x08\x63")
    assert decode_error(later).error_type == "99"


def test_where_a_node_crashed_is_the_stack_trace() -> None:
    dump = 'Fatal Python error: Aborted\n\nCurrent thread 0x1:\n  File "/srv/n.py", line 2 in f'
    stderr = f"a word before\n{dump}"
    message = encode_error(NodeExitedError("n", pid=1, signal="SIGSEGV", stderr=stderr))
    assert message.stack_trace == dump
    assert json.loads(message.context)["stderr"] == stderr


@pytest.mark.parametrize(
    "error",
    [
        NodeExitedError("n", pid=1, signal="SIGKILL", stderr="a word"),
        NodeExitedError("n", pid=1, exit_code=1, stderr="Fatal Python error: as it says itself"),
    ],
)
def test_who_died_otherwise_has_no_stack_trace(error: NodeExitedError) -> None:
    assert not encode_error(error).stack_trace


def test_where_a_node_hung_is_the_stack_trace_and_no_fact_besides() -> None:
    late = NodeTimeoutError("asr", during="process", limit_s=2, stacks="File …")
    message = encode_error(late)
    assert message.stack_trace == "File …"
    assert json.loads(message.context) == {"during": "process", "limit_s": 2, "stderr": ""}


@pytest.mark.parametrize(
    "inside",
    [
        "FileNotFoundError(2, 'No such file or directory', '/usr/lib/python3/x.so')",
        "[Errno 13] Permission denied: '/run/user/0/penstock/sock'",
        "memfd:/proc/17/fd/4",
        "see /home/me/penstock/service.py, line 3",
    ],
)
def test_where_the_service_has_its_files_is_not_told(inside: str) -> None:
    for error in (SupervisionError(f"it can't be initialised: {inside}"), LaneError("a", inside)):
        message = encode_error(error)
        for said in (message.message, message.context, message.stack_trace):
            assert not re.search(r"/\w+/\w+", said)
        assert "…" in message.message


def test_a_nodes_own_traceback_is_told_whole() -> None:
    error = NodeExecutionError(
        "n",
        during="process",
        exception_type="OSError",
        exception_message="/data/model.bin is missing",
        traceback='  File "/srv/nodes/mine.py", line 3',
    )
    message = encode_error(error)
    assert "/data/model.bin" in message.message
    assert "/srv/nodes/mine.py" in message.stack_trace
