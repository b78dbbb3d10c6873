"""What leaves a session."""

from __future__ import annotations

import msgspec

from penstock.data import Value


class Output(msgspec.Struct, frozen=True):
    """A value that left the pipeline at the sink ``node_id``.

    ``sequence`` is the number of the input that it comes from, ``part`` counts the outputs
    of one input; ``latency_s`` is the time since that input was sent (of several, the last), None
    where it comes of none: of what a node produced, or somebody published in between.
    """

    node_id: str
    value: Value
    sequence: int
    part: int
    timestamp_us: int
    latency_s: float | None
