"""Calls over gRPC on loopback: to Penstock's service, and to a bare echo of ``grpc.aio``.

Each has a server in a process of its own; one client process calls both in turns.
"""
