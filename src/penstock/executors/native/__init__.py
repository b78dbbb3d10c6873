"""The native executor: nodes in the session's own process."""

from penstock.executors.native.executor import NativeExecutor

__all__ = ["NativeExecutor"]
