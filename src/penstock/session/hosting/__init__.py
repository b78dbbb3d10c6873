"""Sessions whose nodes, lanes and executors are in a process of their own, their host."""

from penstock.session.hosting.ensemble import HostedEnsemble
from penstock.session.hosting.hosts import Hosts

__all__ = ["HostedEnsemble", "Hosts"]
