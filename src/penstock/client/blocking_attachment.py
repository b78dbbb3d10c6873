"""An attachment for programs without an event loop: the asyncio one, on the client's thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Self

from penstock.client.attachment import Attachment
from penstock.client.intercepts import Intercept, InterceptRequest
from penstock.client.loop_thread import LoopThread, following
from penstock.client.taps import Tap
from penstock.client.values import Sendable
from penstock.errors import SessionClosedError
from penstock.session import DEADLINE_S, NodeState, TapEvent


class BlockingTap:
    """What ``Tap`` is: iterate over it, or over ``events`` with a limit."""

    def __init__(self, tap: Tap, thread: LoopThread) -> None:
        self.node_id = tap.node_id
        self._tap = tap
        self._thread = thread

    @property
    def lost(self) -> int:
        """As ``Tap.lost``."""
        return self._tap.lost

    def events(self, *, timeout_s: float | None = None) -> Iterator[TapEvent]:
        """What comes; each may be ``timeout_s`` in coming. It may be asked for again."""
        while (event := self._thread.run(following(self._tap), timeout_s)) is not None:
            yield event

    def __iter__(self) -> Iterator[TapEvent]:
        return self.events()

    def close(self) -> None:
        """As ``Tap.aclose``: see nothing more."""
        self._thread.run(self._tap.aclose())


class BlockingInterceptRequest:
    """What ``InterceptRequest`` is, with methods that wait."""

    def __init__(self, request: InterceptRequest, thread: LoopThread) -> None:
        self.node_id = request.node_id
        self.number = request.number
        self.value = request.value
        self.sequence = request.sequence
        self.part = request.part
        self.timestamp_us = request.timestamp_us
        self._request = request
        self._thread = thread

    def let_pass(self, *, timeout_s: float | None = None) -> bool:
        """As ``InterceptRequest.let_pass``."""
        return self._thread.run(self._request.let_pass(), timeout_s)

    def replace(self, value: Sendable, *, timeout_s: float | None = None) -> bool:
        """As ``InterceptRequest.replace``."""
        return self._thread.run(self._request.replace(value), timeout_s)

    def drop(self, *, timeout_s: float | None = None) -> bool:
        """As ``InterceptRequest.drop``."""
        return self._thread.run(self._request.drop(), timeout_s)


class BlockingIntercept:
    """What ``Intercept`` is: iterate over it, or over ``requests`` with a limit."""

    def __init__(self, intercept: Intercept, thread: LoopThread) -> None:
        self.node_id = intercept.node_id
        self.deadline_s = intercept.deadline_s
        self._intercept = intercept
        self._thread = thread

    def requests(self, *, timeout_s: float | None = None) -> Iterator[BlockingInterceptRequest]:
        """What is asked; each may be ``timeout_s`` in coming. It may be asked for again."""
        while (request := self._thread.run(following(self._intercept), timeout_s)) is not None:
            yield BlockingInterceptRequest(request, self._thread)

    def __iter__(self) -> Iterator[BlockingInterceptRequest]:
        return self.requests()

    def close(self) -> None:
        """As ``Intercept.aclose``: decide nothing more."""
        self._thread.run(self._intercept.aclose())


class BlockingAttachment:
    """What ``Attachment`` is, with methods that wait; several threads may use it at once.

    ::

        with client.attach(session_id) as attachment:
            for event in attachment.tap("asr"):
                print(event.sequence, event.value)
    """

    def __init__(self, attachment: Attachment, thread: LoopThread) -> None:
        self._attachment = attachment
        self._thread = thread

    @property
    def session_id(self) -> str:
        """The service's ID of the session."""
        return self._attachment.session_id

    @property
    def attach_id(self) -> str:
        """As ``Attachment.attach_id``."""
        return self._attachment.attach_id

    def until_over(self, *, timeout_s: float | None = None) -> None:
        """As ``Attachment.until_over``."""
        self._thread.run(self._attachment.until_over(), timeout_s)

    def tap(self, node_id: str, *, timeout_s: float | None = None) -> BlockingTap:
        """As ``Attachment.tap``."""
        return BlockingTap(self._thread.run(self._attachment.tap(node_id), timeout_s), self._thread)

    def intercept(
        self, node_id: str, deadline_s: float = DEADLINE_S, *, timeout_s: float | None = None
    ) -> BlockingIntercept:
        """As ``Attachment.intercept``."""
        intercepting = self._attachment.intercept(node_id, deadline_s)
        return BlockingIntercept(self._thread.run(intercepting, timeout_s), self._thread)

    def publish(
        self,
        node_id: str,
        value: Sendable,
        *,
        timestamp_us: int = 0,
        timeout_s: float | None = None,
    ) -> int:
        """As ``Attachment.publish``."""
        publishing = self._attachment.publish(node_id, value, timestamp_us=timestamp_us)
        return self._thread.run(publishing, timeout_s)

    def set_state(self, node_id: str, state: NodeState, *, timeout_s: float | None = None) -> None:
        """As ``Attachment.set_state``."""
        self._thread.run(self._attachment.set_state(node_id, state), timeout_s)

    def interrupt(self, node_id: str | None = None, *, timeout_s: float | None = None) -> int:
        """As ``Attachment.interrupt``."""
        return self._thread.run(self._attachment.interrupt(node_id), timeout_s)

    def __enter__(self) -> Self:
        self._thread.run(self._attachment.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(SessionClosedError):  # the client is closed: all has ended
            self._thread.run(self._attachment.__aexit__())
