import socket
from collections.abc import Callable

from penstock.bridges import LaneSpec, ProducerStatistics
from penstock.data import Message
from penstock.errors import LaneError
from penstock.executors.multiprocess.transport.placing import Placer
from penstock.executors.multiprocess.transport.port import Port
from penstock.executors.multiprocess.transport.reactor import Reactor

class LaneSender(Port):
    spec: LaneSpec
    on_change: Callable[[], None]
    on_broken: Callable[[LaneError], None]
    on_release: Callable[[], None]
    def __init__(
        self,
        spec: LaneSpec,
        sock: socket.socket,
        placer: Placer,
        reactor: Reactor,
        on_broken: Callable[[LaneError], None],
    ) -> None: ...
    def offer(self, message: Message) -> bool: ...
    @property
    def lent(self) -> int: ...
    def end(self) -> None: ...
    @property
    def finished(self) -> bool: ...
    def statistics(self) -> ProducerStatistics: ...
    def memory_freed(self) -> None: ...
    def reclaim(self) -> None: ...
    def retire(self, slab_id: int) -> None: ...
