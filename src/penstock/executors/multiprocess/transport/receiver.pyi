import socket
from collections.abc import Callable

from penstock.bridges import ConsumerStatistics, Epochs, LaneSpec
from penstock.data import Message, ReadsValues
from penstock.errors import LaneError
from penstock.executors.multiprocess.transport.arena import SharedArena
from penstock.executors.multiprocess.transport.port import Port
from penstock.executors.multiprocess.transport.reactor import Reactor

MAX_LEASES: int

class LaneReceiver(Port):
    spec: LaneSpec
    on_change: Callable[[], None]
    on_broken: Callable[[LaneError], None]
    on_hoarding: Callable[[], None]
    on_reclaim: Callable[[], None]
    def __init__(
        self,
        spec: LaneSpec,
        sock: socket.socket,
        arena: SharedArena,
        reactor: Reactor,
        on_broken: Callable[[LaneError], None],
        epochs: Epochs = ...,
        read: ReadsValues = ...,
    ) -> None: ...
    def take(self) -> Message | None: ...
    @property
    def lender_starves(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def kept(self) -> int: ...
    def statistics(self) -> ConsumerStatistics: ...
