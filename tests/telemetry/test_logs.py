"""What is logged is one record each, whoever said it, and never more than it looks like."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.manifest import TelemetrySettings
from penstock.telemetry.logs import formatter

HOSTILE = [
    "two\nlines",
    "2026-01-01T00:00:00Z ERROR penstock: forged\r\n2026-01-01T00:00:00Z ERROR penstock: again",
    '"}\n{"event": "forged", "level": "error"}',
    "\x1b[2J\x1b]0;title\x07 steered",
    "\u2028separated\u2029\x85",
    "\u202egnirts desrever",
    "a lone \ud800 surrogate",
]


class Log:
    """A logger of its own that writes to memory, as the settings say."""

    def __init__(self, **settings: Any) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(formatter(TelemetrySettings(**settings)))
        self.logger = logging.Logger("penstock.test")
        self.logger.addHandler(handler)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def records(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self.text.split("\n")[:-1])


def test_a_line_for_people_has_what_its_message_does_not_say() -> None:
    log = Log()
    log.logger.warning("node %r failed", "n0", extra={"node_id": "n0", "peer": "ipv4:1.2.3.4:5"})
    [line] = log.text.splitlines()
    assert line.endswith(" WARNING penstock.test: node 'n0' failed peer=ipv4:1.2.3.4:5")


def test_as_json_every_field_has_its_name() -> None:
    log = Log(log_format="json")
    log.logger.warning("node %r failed", "n0", extra={"node_id": "n0", "session_id": "s"})
    [record] = log.records
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "node 'n0' failed",
        "level": "warning",
        "logger": "penstock.test",
        "node_id": "n0",
        "session_id": "s",
    }


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_that_is_said_looks_like_another_line(said: str) -> None:
    log = Log()
    log.logger.info("it said: %s", said, extra={"node_id": said})
    first, *more = log.text.split("\n")[:-1]
    assert " INFO penstock.test: it said: " in first
    assert all(line.startswith("    ") for line in more)
    assert all(line.isprintable() for line in (first, *more))


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_that_is_said_ends_a_record(said: str) -> None:
    log = Log(log_format="json")
    log.logger.info("it said: %s", said, extra={"node_id": said})
    [record] = log.records
    assert (record["event"], record["node_id"]) == (f"it said: {said}", said)
    assert log.text.isascii()


@given(st.text(), st.text())
def test_whatever_is_said_stays_within_its_record(said: str, node_id: str) -> None:
    people, machines = Log(), Log(log_format="json")
    for log in (people, machines):
        log.logger.info(said, extra={"node_id": node_id})
    assert all(line.startswith("    ") for line in people.text.split("\n")[1:-1])
    [record] = machines.records
    assert (record["event"], record["node_id"]) == (said, node_id)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_belongs_to_its_record(log_format: str) -> None:
    log = Log(log_format=log_format)
    try:
        {}["\x1b[2J\n2026 ERROR forged"]
    except KeyError:
        log.logger.exception("it failed")
    if log_format == "json":
        [record] = log.records
        assert "KeyError" in record["exception"]
    else:
        first, *more = log.text.split("\n")[:-1]
        assert first.endswith("it failed")
        assert "    Traceback (most recent call last):" in more
        assert all(line.startswith("    ") and line.isprintable() for line in more)


def test_the_library_configures_no_logs() -> None:
    program = (
        "import logging, penstock, penstock.service, penstock.telemetry\n"
        "penstock.Session, penstock.Settings\n"
        "assert not logging.getLogger().handlers\n"
        "assert not logging.getLogger('penstock').handlers\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent)
