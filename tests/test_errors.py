"""The exception tree: what errors say, and that their facts survive pickling."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from penstock import errors
from penstock.errors import (
    AccessError,
    ConfigurationError,
    ConservationError,
    Fault,
    InputError,
    InvalidTransition,
    LaneError,
    LibraryError,
    ManifestError,
    MissingExtraError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    SequenceError,
    ServiceError,
    SessionCancelledError,
    SessionClosedError,
    SessionIdleError,
    StallError,
    SupervisionError,
)

FAULTS = [
    Fault("nodes[2].params.chunk_size", "must be at least 1, got 0", "0", "at least 1"),
    Fault("nodes[0].node_type", "unknown", suggestion="EchoNode"),
]
EXAMPLES: list[PenstockError] = [
    ManifestError(FAULTS),
    ConfigurationError(FAULTS),
    MissingExtraError("EspeakNode", "espeakng-loader", extra="tts"),
    LibraryError("espeak-ng failed"),
    ResourceLimitError("processes", wished=3, free=1, limit=10),
    InputError("no node 'x'"),
    NodeExecutionError(
        "asr",
        during="setup",
        exception_type="ValueError",
        exception_message="no",
        traceback="Traceback …",
        stderr="hm\n",
    ),
    NodeExitedError("asr", pid=7, signal="SIGKILL"),
    NodeExitedError("asr", pid=7, exit_code=3),
    NodeTimeoutError("asr", during="setup", limit_s=30.0, stacks="File …"),
    StallError(["a", "b"], limit_s=10),
    SessionClosedError("closed"),
    SessionCancelledError("client disconnected"),
    LaneError("a→b", "no envelope"),
    ConservationError("a→b", sent=3, received=1, dropped=1),
    ServiceError("no", error_type="VALIDATION", node_id="x", context="nodes[0]"),
    InvalidTransition("session", "Ready", "close", ["Initializing", "Ready"]),
    SupervisionError("its host process 3 was killed by SIGKILL"),
    SessionIdleError(limit_s=60.0),
    SequenceError(found=4, expected=[2]),
    AccessError("token robot may not use nodes of type 'EchoNode'"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_facts_survive_pickling_and_copying(error: PenstockError) -> None:
    for restored in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  # our own bytes
        assert type(restored) is type(error)
        assert str(restored) == str(error)
        assert vars(restored) == vars(error)


def test_every_public_error_is_in_the_tree_and_in_its_drawing() -> None:
    drawn = errors.__doc__ or ""
    for name, item in inspect.getmembers(errors, inspect.isclass):
        if issubclass(item, Exception) and not name.startswith("_"):
            assert issubclass(item, PenstockError), name
            assert f" {name} " in drawn.replace("\n", " \n"), name


def test_a_document_error_lists_every_fault_with_its_path() -> None:
    assert str(ManifestError(FAULTS)).splitlines() == [
        "nodes[2].params.chunk_size: must be at least 1, got 0",
        "nodes[0].node_type: unknown (did you mean 'EchoNode'?)",
    ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EXAMPLES[2], "EspeakNode needs espeakng-loader: pip install 'penstock[tts]'"),
        (EXAMPLES[4], "processes: 3 wished, 1 free of 10"),
        (
            EXAMPLES[6],
            "node 'asr': setup raised ValueError: no\nits last output on stderr:\nhm",
        ),
        (EXAMPLES[7], "node 'asr': its process 7 was killed by SIGKILL"),
        (EXAMPLES[8], "node 'asr': its process 7 exited with code 3"),
        (EXAMPLES[9], "node 'asr': setup did not end within 30 s"),
        (EXAMPLES[14], "lane a→b: sent 3, but received 1 and dropped 1"),
    ],
)
def test_messages_say_what_and_where(error: PenstockError, message: str) -> None:
    assert str(error) == message


def test_a_stall_names_the_whole_ring() -> None:
    assert "a → b → a" in str(StallError(["a", "b"], limit_s=10))


def test_a_stall_says_what_to_change() -> None:
    assert "read outputs" not in str(StallError(["a", "b"], limit_s=10))
    assert "read outputs while sending" in str(StallError(["client", "a"], limit_s=10))
