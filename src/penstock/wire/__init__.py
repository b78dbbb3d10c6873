"""The protocol ``remotemedia.v1``: its messages, and what they mean as values.

Knows nothing of gRPC: ``service`` and ``client`` carry the messages.
"""
