"""What waits for a client that doesn't read is bounded, and the latest."""

from __future__ import annotations

import pytest

from penstock.data import VALUE_BYTES
from penstock.service.news import NEWS_BYTES, News
from penstock.wire.v1 import streaming_pb2 as pb


def said(number: int, length: int) -> pb.StreamResponse:
    progress = pb.NodeProgress(node_id=str(number), message="x" * length)
    return pb.StreamResponse(progress=progress)


def told(news: News) -> list[int]:
    found = []
    while (one := news.take()) is not None:
        found.append(int(one.progress.node_id))
    return found


@pytest.mark.parametrize("length", [0, 1000, 100_000, NEWS_BYTES // 2])
def test_the_latest_wait_as_far_as_they_have_room(length: int) -> None:
    news = News()
    for number in range(5000):
        news.keep(said(number, length))
    left = told(news)
    assert left == list(range(5000))[-len(left) :]
    size = said(4999, length).ByteSize() + VALUE_BYTES
    assert len(left) * size <= NEWS_BYTES < (len(left) + 1) * size + len(left)


def test_the_last_waits_however_long_it_is() -> None:
    news = News()
    for number in range(3):
        news.keep(said(number, 2 * NEWS_BYTES))
    assert told(news) == [2]
    news.keep(said(3, 0))
    news.keep(said(4, 0))
    assert told(news) == [3, 4]
    assert told(news) == []
