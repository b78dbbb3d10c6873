"""Attachments for programs without an event loop, to a service in a process of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attaching import HOUR_S, MIXED, chain

from penstock.client import BlockingAttachment, BlockingClient, BlockingStream
from penstock.data import Json, Text
from penstock.errors import (
    InvalidValueError,
    NodeAddressError,
    ServiceError,
    SessionClosedError,
    SessionError,
    UnknownNodeError,
)
from penstock.session import Interruption, NodeState


@pytest.fixture
def client(address: str) -> Iterator[BlockingClient]:
    with BlockingClient(address) as opened:
        yield opened


@pytest.fixture
def stream(client: BlockingClient) -> Iterator[BlockingStream]:
    with client.stream(chain(*MIXED)) as opened:
        yield opened


@pytest.fixture
def attachment(client: BlockingClient, stream: BlockingStream) -> Iterator[BlockingAttachment]:
    with client.attach(stream.session_id, attach_id="me") as opened:
        yield opened


class Talk:
    """A stream's one reader."""

    def __init__(self, stream: BlockingStream) -> None:
        self._stream = stream

    def said(self, word: str) -> Any:
        self._stream.send("n0", word)
        return self.heard()

    def heard(self) -> Any:
        return next(self._stream.outputs(timeout_s=20)).value.text


def test_a_tap_in_a_plain_loop(attachment: BlockingAttachment, stream: BlockingStream) -> None:
    assert (attachment.session_id, attachment.attach_id) == (stream.session_id, "me")
    tap, closed = attachment.tap("n1"), attachment.tap("n1")
    talk = Talk(stream)
    assert [talk.said(word) for word in "xyz"] == ["xab", "yab", "zab"]
    closed.close()
    assert list(closed) == []
    stream.close()
    seen = [(event.node_id, event.value, event.sequence, event.lost) for event in tap]
    assert seen == [("n1", Text(f"{word}a"), at, 0) for at, word in enumerate("xyz")]
    assert (tap.node_id, tap.lost) == ("n1", 0)
    attachment.until_over(timeout_s=20)
    with pytest.raises(SessionClosedError, match="the session has ended"):
        attachment.tap("n1")


def test_what_is_lost_after_the_last_event_is_told_in_the_end(client: BlockingClient) -> None:
    """Three outputs behind the one that is shown are larger than a message may be."""
    manifest = chain("says_too_much", "adds_b", max_message_bytes=500_000)
    with client.stream(manifest) as stream, client.attach(stream.session_id) as attachment:
        tap = attachment.tap("n0")
        assert Talk(stream).said("x") == "xb"
        stream.close()
        assert [(event.value, event.lost) for event in tap] == [(Text("x"), 0)]
        assert tap.lost == 3


def test_a_wait_has_its_limit_and_the_tap_goes_on(
    attachment: BlockingAttachment, stream: BlockingStream
) -> None:
    tap = attachment.tap("n0")
    with pytest.raises(TimeoutError):
        next(tap.events(timeout_s=0.05))
    assert Talk(stream).said("x") == "xab"
    assert next(tap.events(timeout_s=20)).value == Text("xa")
    with pytest.raises(TimeoutError):
        attachment.until_over(timeout_s=0.05)


def test_an_intercept_in_a_plain_loop(
    attachment: BlockingAttachment, stream: BlockingStream
) -> None:
    intercept = attachment.intercept("n1", HOUR_S)
    assert (intercept.node_id, intercept.deadline_s) == ("n1", HOUR_S)

    def decide() -> None:
        for request in intercept:
            if request.value == Text("pa"):
                assert request.let_pass()
            elif request.value == Text("ra"):
                with pytest.raises(InvalidValueError, match="got int"):
                    request.replace(7)  # type: ignore[arg-type]  # that is what is tried
                assert request.replace("new")
                assert not request.drop()
            else:
                assert (request.node_id, request.part) == ("n1", 0)
                assert request.drop()
                return

    deciding = threading.Thread(target=decide)
    deciding.start()
    talk = Talk(stream)
    assert [talk.said(word) for word in "pr"] == ["pab", "newb"]
    stream.send("n0", "d")
    deciding.join()
    with pytest.raises(TimeoutError):
        next(intercept.requests(timeout_s=0.05))
    intercept.close()
    assert talk.said("x") == "xab"
    assert list(intercept) == []


def test_everything_else(client: BlockingClient, stream: BlockingStream) -> None:
    told: list[Interruption] = []
    talk = Talk(stream)
    with client.attach(stream.session_id, on_interrupt=told.append) as attachment:
        attachment.set_state("n0", NodeState.BYPASS)
        assert talk.said("x") == "xb"
        assert attachment.publish("n2", Text("y"), timestamp_us=5) == 0
        assert talk.heard() == "yb"
        assert attachment.interrupt("n1") == 1
        assert [said.node_id for said in told] == ["n1"]
    with pytest.raises(SessionClosedError):
        attachment.publish("n2", "y")


def test_what_is_refused(attachment: BlockingAttachment, client: BlockingClient) -> None:
    with pytest.raises(UnknownNodeError, match="'x'"):
        attachment.tap("x")
    with pytest.raises(InvalidValueError, match="got json"):
        attachment.publish("n0", Json(1))
    attachment.intercept("n1")
    with client.attach(attachment.session_id) as other, pytest.raises(NodeAddressError):
        other.intercept("n1")
    with pytest.raises(ServiceError, match="not found"), client.attach("nobody"):
        pytest.fail("it was opened")


def test_who_attaches_too_late(client: BlockingClient, stream: BlockingStream) -> None:
    stream.close()
    assert list(stream.outputs()) == []
    late = client.attach(stream.session_id)
    with pytest.raises(SessionClosedError, match="the session has ended"), late:
        pytest.fail("it was opened")


def test_a_limited_wait_takes_nothing_along(
    attachment: BlockingAttachment, stream: BlockingStream
) -> None:
    """The intercept is ours, and nobody answers: the inputs of others wait."""
    intercept = attachment.intercept("n0", HOUR_S)
    stream.send("n0", "x")
    request = next(intercept.requests(timeout_s=20))
    waited = 0
    while not waited:  # until its lane is full
        try:
            attachment.publish("n0", "p", timeout_s=0.2)
        except TimeoutError:
            waited += 1
    with pytest.raises(UnknownNodeError):
        attachment.tap("x")
    assert request.let_pass()
    assert Talk(stream).heard() == "xab"


def test_a_callback_must_not_call(client: BlockingClient, stream: BlockingStream) -> None:
    def ask(_said: Interruption) -> None:
        client.version()

    attachment = client.attach(stream.session_id, on_interrupt=ask)
    with attachment, pytest.raises(SessionError, match="callback must not call"):
        attachment.interrupt()


def test_threads_that_wait_when_the_client_closes(address: str) -> None:
    told: list[Exception] = []
    client = BlockingClient(address)
    with client.stream(chain(*MIXED)) as stream:
        attachment = client.attach(stream.session_id).__enter__()
        tap = attachment.tap("n0")

        def read() -> None:
            try:
                list(tap)
            except (ServiceError, SessionClosedError) as exc:
                told.append(exc)

        reading = [threading.Thread(target=read) for _ in range(3)]
        for thread in reading:
            thread.start()
        attachment.interrupt()
        attachment.__exit__()
    for thread in reading:
        thread.join()
    assert told == []
    client.close()
    with pytest.raises(SessionClosedError, match="closed"):
        attachment.tap("n0")
