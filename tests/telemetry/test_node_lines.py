"""What nodes say is logged up to a rate, session by session, and what is left out is counted."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.manifest import TelemetrySettings
from penstock.session import logs
from penstock.session.logs import NODE_LOGGER
from penstock.telemetry import node_lines
from penstock.telemetry.logs import formatter
from penstock.telemetry.node_lines import AT_ONCE_S, OVERHEAD_BYTES, NodeLines

RATE = 10_000
LINE = "x" * (RATE // 10 - OVERHEAD_BYTES)
"""Ten of them take a second."""


class Clock:
    """The time, which only goes on where somebody says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    return clock


class Log:
    """What nodes say, as JSON."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(formatter(TelemetrySettings(log_format="json")))
        handler.addFilter(NodeLines(RATE))
        self._loggers = {name: logging.Logger(name) for name in (NODE_LOGGER, "penstock.other")}
        for logger in self._loggers.values():
            logger.addHandler(handler)

    def say(self, session_id: str, times: int, name: str = NODE_LOGGER) -> None:
        for _ in range(times):
            about = {"session_id": session_id, "line": LINE}
            self._loggers[name].info("it says %r", LINE, extra=about)

    @property
    def said(self) -> Iterator[dict[str, Any]]:
        """What was said since this was asked before."""
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return map(json.loads, text.splitlines())


@pytest.mark.usefixtures("clock")
def test_a_node_that_never_stops_is_cut_short() -> None:
    log = Log()
    log.say("a", 10_000)
    assert len(list(log.said)) == pytest.approx(10 * AT_ONCE_S, abs=1)


def test_what_was_left_out_is_told_when_there_is_room_again(clock: Clock) -> None:
    log = Log()
    log.say("a", 1000)
    passed = len(list(log.said))
    clock.now += 0.5
    log.say("a", 1000)
    first, *others = log.said
    assert len(others) == pytest.approx(4, abs=1)
    assert first["left_out"] == 1000 - passed
    assert f"(after {1000 - passed} lines that were left out)" in first["event"]
    assert all("left_out" not in one and "left out" not in one["event"] for one in others)
    clock.now += 2 * AT_ONCE_S
    log.say("a", 1000)
    assert len(list(log.said)) == passed  # no more adds up than at first


@pytest.mark.usefixtures("clock")
def test_others_are_not_cut_short_by_it() -> None:
    log = Log()
    log.say("a", 1000)
    list(log.said)
    log.say("b", 10)
    log.say("a", 1000, "penstock.other")
    assert len(list(log.said)) == 1010


def test_a_line_that_is_longer_than_all_that_may_be_said_at_once_is_said(clock: Clock) -> None:
    lines = NodeLines(1)
    about = {"session_id": "a", "line": LINE}

    def said() -> bool:
        return lines.filter(logging.makeLogRecord({"name": NODE_LOGGER, **about}))

    assert [said(), said()] == [True, False]
    clock.now += len(LINE) + OVERHEAD_BYTES
    assert said()


@pytest.mark.usefixtures("clock")
def test_no_more_sessions_are_known_than_there_is_room_for() -> None:
    lines = NodeLines(RATE)
    for number in range(10_000):
        about = {"session_id": str(number), "line": ""}
        lines.filter(logging.makeLogRecord({"name": NODE_LOGGER, **about}))
    assert len(lines._sessions) == node_lines._MOST_SESSIONS
