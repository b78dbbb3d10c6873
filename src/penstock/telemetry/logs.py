"""The program's log: one chain for all that goes through ``logging``, as lines or as JSON.

What is said in it may be a node's or a client's: nothing of that can look like a line of its own,
or steer a terminal. Only a program configures logs, never the library.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from penstock.manifest import TelemetrySettings
from penstock.telemetry.node_lines import NodeLines

Record = MutableMapping[str, Any]
_INDENT = "\n    "
"""What every line of a record but its first begins with."""
_HEAD = ("timestamp", "level", "logger", "event")


def configure_logs(settings: TelemetrySettings, stream: TextIO) -> None:
    """Have all loggers write to ``stream`` as the settings say; what was configured before ends."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(settings))
    handler.addFilter(NodeLines(settings.node_log_bytes_per_sec))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def formatter(settings: TelemetrySettings) -> logging.Formatter:
    """Makes a line, or a few, of what was logged, with the ``extra`` fields."""
    render = structlog.processors.JSONRenderer() if settings.log_format == "json" else _console
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _console(_logger: object, _method: str, record: Record) -> str:
    """For people: fields that the message doesn't mention come behind it."""
    message = str(record["event"])
    fields = " ".join(
        f"{key}={_clean(str(value))}"
        for key, value in record.items()
        if key not in (*_HEAD, "exception") and not _mentions(message, value)
    )
    head = f"{record['timestamp']} {record['level'].upper()} {record['logger']}"
    text = "\n".join([message, *([record["exception"]] if "exception" in record else [])])
    first, *more = map(_clean, text.splitlines() or [""])
    return _INDENT.join([f"{head}: {first}{' ' if fields else ''}{fields}", *more])


def _mentions(message: str, value: object) -> bool:
    return str(value) in message or repr(value) in message


def _clean(line: str) -> str:
    """With what would steer a terminal as an escape that people can read."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
