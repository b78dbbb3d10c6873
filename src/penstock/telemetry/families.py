"""Every metric that a service has: its name, its kind, its labels, and what it means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MICROSECONDS_ON = tuple(range(13, 35))
"""Bucket bounds for what nodes and lanes do: 2**13 ns is 8 µs, 2**34 ns are 17 s."""
MILLISECONDS_ON = tuple(range(20, 44, 2))
"""Bucket bounds for calls: 2**20 ns is 1 ms, 2**42 ns are 73 minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A metric, by the name that queries use; ``bounds`` of a histogram are exponents of 2 ns."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    bounds: tuple[int, ...] = ()


_OF_NODE = ("node_type", "executor")
_OF_EDGE = ("source_type", "target_type", "strategy")
_OF_PROCESS = ("kind", "node_type")

BUILD = Family("penstock_build_info", "gauge", ("version",), "1, with the version that serves.")

SESSIONS = Family("penstock_sessions", "gauge", ("state",), "Sessions that are open, by state.")
SESSIONS_STARTED = Family(
    "penstock_sessions_started_total", "counter", (), "Sessions that were admitted and started."
)
SESSIONS_ENDED = Family(
    "penstock_sessions_ended_total",
    "counter",
    ("outcome",),
    "Sessions that have ended: completed, cancelled, or by what failed.",
)
REFUSALS = Family(
    "penstock_admission_refusals_total",
    "counter",
    ("resource",),
    "Sessions that were not admitted, by what there was not enough of.",
)

CALLS = Family(
    "penstock_calls_total",
    "counter",
    ("method", "code"),
    "gRPC calls that have ended, by their status code.",
)
CALLS_OPEN = Family("penstock_calls_in_progress", "gauge", ("method",), "gRPC calls that go on.")
CALL_DURATION = Family(
    "penstock_call_duration_seconds",
    "histogram",
    ("method",),
    "How long gRPC calls took, streams from their first message to their last.",
    MILLISECONDS_ON,
)

NODES = Family("penstock_nodes", "gauge", _OF_NODE, "Nodes of open sessions.")
NODE_ITEMS = Family(
    "penstock_node_items_total",
    "counter",
    _OF_NODE,
    "Inputs that nodes took, or made themselves.",
)
NODE_OUTPUTS = Family("penstock_node_outputs_total", "counter", _OF_NODE, "Outputs of nodes.")
NODE_UNMATCHED = Family(
    "penstock_node_unmatched_total",
    "counter",
    _OF_NODE,
    "Inputs of joins that had to be dropped, since nothing matched them.",
)
NODE_PROCESSING = Family(
    "penstock_node_processing_seconds",
    "histogram",
    _OF_NODE,
    "Time that nodes took for an item.",
    MICROSECONDS_ON,
)

EDGE_SENT = Family(
    "penstock_edge_sent_messages_total", "counter", _OF_EDGE, "Messages that lanes took."
)
EDGE_RECEIVED = Family(
    "penstock_edge_received_messages_total",
    "counter",
    _OF_EDGE,
    "Messages that their targets took out of lanes.",
)
EDGE_BYTES = Family(
    "penstock_edge_payload_bytes_total", "counter", _OF_EDGE, "Payload of the messages sent."
)
EDGE_DROPPED = Family(
    "penstock_edge_dropped_messages_total",
    "counter",
    (*_OF_EDGE, "reason"),
    "Messages that lanes without backpressure gave up.",
)
EDGE_FILTERED = Family(
    "penstock_edge_filtered_messages_total",
    "counter",
    _OF_EDGE,
    "Messages that were not sent, as the target doesn't accept their kind.",
)
EDGE_COPIES = Family(
    "penstock_edge_copied_payloads_total", "counter", _OF_EDGE, "Payloads copied on the way."
)
EDGE_WAITING = Family(
    "penstock_edge_waiting_messages", "gauge", _OF_EDGE, "Messages between the ends of lanes."
)
EDGE_BLOCKED = Family(
    "penstock_edge_blocked_seconds_total",
    "counter",
    _OF_EDGE,
    "Time in which a source could send nothing, as the lane was full.",
)
EDGE_CONVERSION = Family(
    "penstock_edge_conversion_seconds",
    "histogram",
    _OF_EDGE,
    "Time to convert a message, counted at each end; measured between processes.",
    MICROSECONDS_ON,
)
EDGE_TRANSIT = Family(
    "penstock_edge_transit_seconds",
    "histogram",
    _OF_EDGE,
    "Time from a message being sent to its being taken; measured between processes.",
    MICROSECONDS_ON,
)

PROCESSES = Family("penstock_processes", "gauge", _OF_PROCESS, "Processes of the service.")
PROCESS_MEMORY = Family(
    "penstock_process_memory_bytes",
    "gauge",
    _OF_PROCESS,
    "Resident memory; pages that several processes share count in parts (PSS).",
)
PROCESS_CPU = Family(
    "penstock_process_cpu_seconds_total",
    "counter",
    _OF_PROCESS,
    "Processor time, of nodes and hosts what they used for sessions.",
)
ZYGOTE_RESTARTS = Family(
    "penstock_zygote_restarts_total", "counter", (), "Zygotes started in place of one that died."
)
BLANK_HOSTS = Family("penstock_blank_hosts", "gauge", (), "Hosts that wait for a session.")
HOSTS_TAKEN = Family(
    "penstock_hosts_taken_total",
    "counter",
    ("source",),
    "Hosts that sessions took: blank ones that waited, or forked just then.",
)
WARM_NODES = Family(
    "penstock_prewarmed_nodes",
    "gauge",
    ("node_type",),
    "Prewarmed node processes that are set up and wait for a session.",
)
WARM_TAKEN = Family(
    "penstock_prewarmed_nodes_taken_total",
    "counter",
    ("node_type", "result"),
    "Nodes of prewarmed types that started: hit, where one that fits was ready, or miss.",
)

BUDGET_LIMIT = Family(
    "penstock_budget_limit", "gauge", ("resource",), "How many all sessions may have together."
)
BUDGET_RESERVED = Family(
    "penstock_budget_reserved", "gauge", ("resource",), "How many of them are reserved."
)
BUDGET_LIMIT_BYTES = Family(
    "penstock_budget_limit_bytes",
    "gauge",
    ("resource",),
    "How much memory all sessions may have together.",
)
BUDGET_RESERVED_BYTES = Family(
    "penstock_budget_reserved_bytes", "gauge", ("resource",), "How much of it is reserved."
)

SPANS = Family("penstock_trace_spans_total", "counter", (), "Spans made of traced calls.")
SPANS_EXPORTED = Family(
    "penstock_trace_spans_exported_total", "counter", (), "Spans that the collector has taken."
)
SPANS_LOST = Family(
    "penstock_trace_spans_lost_total",
    "counter",
    ("where",),
    "Spans given up: on_the_way, as invalid, by rate, in the queue, or by the exporter.",
)

FAMILIES = tuple(found for found in list(globals().values()) if isinstance(found, Family))
