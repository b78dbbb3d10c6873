"""What a lane has lent to its consumer, by message, until the consumer gives it back."""

from libc.stdint cimport uint64_t

from penstock.executors.multiprocess.transport.ring cimport Ring


cdef class Loans:
    """The slots behind the messages of a lane that somebody may still look at.

    Used under the GIL from any thread; what is reclaimed may be lent again at once. It is
    ``broken`` when more is said to come back than was lent: then nothing is believed.
    """

    def __init__(self, Ring ring not None):
        self._ring = ring
        self._given_back = 0
        self.open = {}

    cdef int reclaim(self) except -1:
        """Let go of what has come back. A token that stands for nothing is passed over."""
        cdef uint64_t given_back = self._ring.given_back(), token
        if given_back - self._given_back > <size_t>len(self.open):
            self.broken = True
            return 0
        while self._given_back < given_back:
            token = self._ring.token(self._given_back)
            self._given_back += 1
            self.open.pop(token, None)
        return 0

    def lent_on(self, returns):
        """The leases among them that are on loan from elsewhere, by ``returns``; each is held here
        by what was placed, whose ``id`` it stands under."""
        placed_here = list(self.open.values())  # what runs meanwhile may reclaim
        return {id(placed): placed.lease for placed in placed_here if placed.is_of(returns)}
