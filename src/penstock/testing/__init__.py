"""For tests of your own nodes."""

from penstock.testing.runner import run_node

__all__ = ["run_node"]
