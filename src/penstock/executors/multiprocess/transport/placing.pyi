from penstock.executors.multiprocess.transport.arena import SharedArena

class Placer:
    shared: bool
    def __init__(self, arena: SharedArena, max_message_bytes: int) -> None: ...
    @property
    def arena(self) -> SharedArena: ...
