"""Views may be looked at, and die, on any thread: their slots go back all the same."""

import gc
import queue
import random
import threading

import numpy as np

from penstock.data import Binary, Message

ROUNDS = 1500
SIZES = (2_000, 70_000, 5_000, 300_000)


class Looker(threading.Thread):
    """Holds the last few parts that it was given, and checks each before it lets go."""

    def __init__(self, seed):
        super().__init__()
        self.parts = queue.SimpleQueue()
        self.wrong = []
        self._random = random.Random(seed)

    def run(self):
        held = []
        while (given := self.parts.get()) is not None:
            held.append(given)
            if len(held) > 8:
                number, part = held.pop(self._random.randrange(len(held)))
                if not (part == number).all():
                    self.wrong.append(number)
            del given


def test_views_that_die_on_other_threads_are_whole_until_then(lanes):
    pair = lanes(capacity=16)
    lookers = [Looker(seed) for seed in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for number in range(ROUNDS):
            size = SIZES[number % len(SIZES)]
            value = Binary(np.full(size, number % 251, np.uint8))
            while not pair.sender.offer(Message(value, number)):
                pair.settle()
            for message in pair.drain():
                part = message.value.data[number % 7 :: 1 + number % 3]
                lookers[number % 3].parts.put((message.sequence % 251, part))
                del message, part
    finally:
        for looker in lookers:
            looker.parts.put(None)
            looker.join()
    assert [looker.wrong for looker in lookers] == [[], [], []]
    assert pair.broken == []


def test_slots_freed_on_other_threads_can_be_used_again(lanes):
    """Twenty times the budget goes through, and every view dies elsewhere."""
    pair = lanes(budget=4 << 20, max_message_bytes=1 << 20, capacity=2)
    doomed = queue.SimpleQueue()

    def let_go():
        while doomed.get() is not None:
            pass

    thread = threading.Thread(target=let_go)
    thread.start()
    try:
        for number in range(80):
            value = Binary(np.full(1 << 20, number, np.uint8))
            while not pair.sender.offer(Message(value, number)):
                gc.collect()
                pair.settle()
            for message in pair.drain():
                assert (message.value.data == number).all()
                doomed.put(message)
                del message
    finally:
        doomed.put(None)
        thread.join()
    assert pair.sender.statistics().sent == 80
    assert pair.source.arena.used_bytes <= 4 << 20
