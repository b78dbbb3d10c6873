"""Sessions whose nodes, lanes and executors are in a process of their own, their host."""

from penstock.session.hosting.ensemble import HostedEnsemble
from penstock.session.hosting.hosts import Hosts
from penstock.session.hosting.prewarm import prewarm_orders, reserve_prewarmed
from penstock.session.hosting.warm import Order

__all__ = ["HostedEnsemble", "Hosts", "Order", "prewarm_orders", "reserve_prewarmed"]
