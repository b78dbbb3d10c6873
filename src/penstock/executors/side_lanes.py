"""What lies between a node and the client besides the pipeline: taps, and an intercept.

Those that are there may be gone at any moment: no message waits for a tap, and one that waits for
a verdict passes when nobody is left to give it.
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum

from penstock.bridges import ConsumerEnd, ProducerEnd, Purpose
from penstock.data import Json, Message, held_bytes
from penstock.errors import LaneError

NUMBERS = 1 << 32
"""A message's number on a side lane stands where its epoch would, and begins anew after so many."""
NO_MORE = NUMBERS - 1
"""A tap's last message is no output: it has this for a part, and the last output's number."""
_NOTHING = Json(None)


class Verdict(IntEnum):
    """What is decided about an output; it stands where a message's part would."""

    PASS = 0
    REPLACE = 1
    DROP = 2


class SideLanes:
    """Those of one node.

    While it is ``idle`` nobody is to be shown anything; ``intercepted`` says that each output needs
    a verdict.
    """

    def __init__(self) -> None:
        self.idle = True
        self._taps: list[_Tap] = []
        self._questions: ProducerEnd | None = None
        self._verdicts: ConsumerEnd | None = None
        self._number = 0
        self._asked = False
        self._answered: Message | None = None
        self._over = False

    @property
    def intercepted(self) -> bool:
        return self._questions is not None

    def attach(self, end: ProducerEnd) -> None:
        """Have a tap, or ask on this lane from now on, and no more on another.

        What has been decided about an output that still waits holds: whoever decided it may be
        gone before the node has looked. Where nothing was, the question is asked anew.
        """
        if self._over:
            end.end()
        elif end.spec.purpose is Purpose.TAP:
            self._taps.append(_Tap(end))
            self.idle = False
        else:
            answered = self._answer()
            self.ask()
            self._questions, self._answered = end, answered
            self.idle = False

    def heed(self, verdicts: ConsumerEnd) -> None:
        """Have verdicts come from here."""
        self._verdicts = verdicts

    def detach(self, end: ProducerEnd | ConsumerEnd) -> None:
        """Forget a lane, but not the verdict that waits on it; doing it twice is harmless."""
        self._taps = [tap for tap in self._taps if tap.end is not end]
        if self._questions is end:
            self._questions = None
        if self._verdicts is end:
            with suppress(LaneError):
                self._answered = self._answer()
            self._verdicts = None
        self.idle = not self._taps and self._questions is None

    def show(self, message: Message) -> None:
        """Let the taps see an output, as far as they have room for it."""
        for tap in self._taps:
            tap.show(message)

    def ask(self) -> None:
        """A verdict is needed on another output than before."""
        self._number = (self._number + 1) % NUMBERS
        self._asked, self._answered = False, None

    def verdict(self, message: Message) -> tuple[Verdict, Message] | None:
        """What became of the output that ``ask`` was for; None as long as it has to wait."""
        answer = self._answered = self._answer()
        if answer is not None:
            decided = Verdict(answer.part)
            replaced = decided is Verdict.REPLACE
            return decided, message.replace(value=answer.value) if replaced else message
        if self._questions is None:
            return Verdict.PASS, message
        if not self._asked:
            try:
                self._asked = self._questions.offer(message.replace(epoch=self._number))
            except LaneError:
                return None  # it is gone, and will be detached
            except Exception:  # noqa: BLE001  # too large for any lane to the client
                return Verdict.PASS, message
        return None

    def end(self) -> None:
        """Nothing more is given, whoever comes."""
        self._over = True
        for tap in self._taps:
            tap.finish()
        if self._questions is not None:
            self._questions.end()

    def _answer(self) -> Message | None:
        """The verdict on what waits; those that came too late are passed over."""
        if self._answered is not None or not self._asked:
            return self._answered
        while self._verdicts is not None and (answer := self._verdicts.take()) is not None:
            if answer.epoch == self._number:
                return answer
        return None


class _Tap:
    """Shows each output, by a number of its own; who misses one can tell by the next."""

    def __init__(self, end: ProducerEnd) -> None:
        self.end = end
        self._number = 0

    def show(self, message: Message) -> None:
        self._number = (self._number + 1) % NUMBERS
        if self._has_room(message):
            self._offer(message.replace(epoch=self._number))

    def finish(self) -> None:
        """Say how many there were: who misses the last ones can't tell by the next."""
        self._offer(Message(_NOTHING, part=NO_MORE, epoch=self._number))
        self.end.end()

    def _offer(self, message: Message) -> None:
        try:
            self.end.offer(message)
        except Exception:  # noqa: BLE001  # too large for a lane, say: this tap's loss alone
            return

    def _has_room(self, message: Message) -> bool:
        """A tap that lags must not hold the memory that the node needs for its outputs."""
        lent = self.end.lent
        return not lent or (lent + 1) * held_bytes(message.value) <= self._most

    @property
    def _most(self) -> int:
        return self.end.spec.max_buffered_bytes
