"""Interrupts as protocol messages, and back."""

from __future__ import annotations

from penstock.session import Interruption
from penstock.wire.v1 import common_pb2 as pb


def encode_interruption(said: Interruption) -> pb.Interrupted:
    """The message; an empty name is the client's."""
    return pb.Interrupted(
        node_id=said.node_id or "", by=said.by or "", epoch=said.epoch, sinks=said.sinks
    )


def decode_interruption(message: pb.Interrupted) -> Interruption:
    """What a client is told."""
    named, by = message.node_id or None, message.by or None
    return Interruption(named, by, message.epoch, tuple(message.sinks))
