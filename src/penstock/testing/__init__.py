"""For tests of your own nodes, and of what surrounds them."""

from penstock.testing.leaks import LeakCheck, Leaks
from penstock.testing.processes import Process, Usage
from penstock.testing.runner import run_node
from penstock.testing.tree import ProcessTree

__all__ = ["LeakCheck", "Leaks", "Process", "ProcessTree", "Usage", "run_node"]
