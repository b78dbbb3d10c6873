"""Frames that nobody would send, in any order: they break their own connection at most."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import begin, data, framed, goaway, reset, serving, widen, window

from bench.rpc.http2 import ACK, END_HEADERS, HEADERS, HELLO, frame, headers

PATHS = ["Echo", "Join", "None"]


def rubbish(random: Random) -> bytes:
    """Frames that are mostly right, cut where it happens."""
    frames = [any_frame(random) for _ in range(random.randrange(1, 30))]
    whole = b"".join(frames)
    return whole[: random.randrange(len(whole) + 1)] if random.random() < 0.3 else whole


def any_frame(random: Random) -> bytes:
    stream = random.choice([1, 1, 1, 3, 3, 5, 7, 9, 2, 0])
    message = framed(random.randbytes(random.choice([0, 1, 50, 20_000])))
    flags = random.choice([END_HEADERS, END_HEADERS | 1])
    block = headers(f"/t/{random.choice(PATHS)}".encode())
    timeout = (b"grpc-timeout", random.choice([b"0n", b"1m", b"1S", b"x"]))
    made = [
        begin(stream, random.choice(PATHS)),
        begin(stream, random.choice(PATHS), timeout),
        frame(HEADERS, flags, stream, block),
        data(stream, message),
        data(stream, message, end=True),
        data(stream, message[: random.randrange(len(message) + 1)], end=random.random() < 0.3),
        frame(0, random.choice([8, 9]), stream, random.randbytes(random.randrange(4))),
        widen(stream, random.choice([0, 1, 100, 70_000, (1 << 31) - 1])),
        window(random.choice([0, 1, 100, 70_000, (1 << 31) - 1])),
        reset(stream),
        ACK,
        goaway(),
        frame(random.randrange(12), random.randrange(256), stream, random.randbytes(8)),
    ]
    weights = [9, 2, 4, 9, 4, 4, 2, 4, 2, 2, 1, 1, 1]
    return random.choices(made, weights)[0]


@pytest.mark.parametrize("seed", range(8))
async def test_no_frames_break_more_than_their_connection(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is there anything in the log that tells of it."""
    random = Random(seed)
    async with serving() as served:
        for _ in range(40):
            async with served.client(HELLO + ACK) as peer:
                whole = rubbish(random)
                size = random.choice([1 << 20, 4000, 37])
                with contextlib.suppress(OSError):
                    for at in range(0, len(whole), size):
                        peer.send(whole[at : at + size])
                        if random.random() < 0.5:
                            await peer.writer.drain()
                    peer.writer.write_eof()
                await peer.closed()
        assert await served.serves()
    found = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [record for record in found if record.name != "asyncio" or record.exc_info]
