"""What is taken and given at once; and speech that was read without protobuf goes the same way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_client import CLOSE, chunk

from penstock.data import Audio, Value
from penstock.errors import PenstockError
from penstock.service.course import Course
from penstock.service.feed import Feed
from penstock.service.files import Files
from penstock.service.limits import CallLimits
from penstock.service.passage import Passage
from penstock.service.replies import Replies
from penstock.wire.codec_time import CodecTime
from penstock.wire.parsing import Malformed
from penstock.wire.parted import read_request
from penstock.wire.speech import read_speech
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

LARGEST = 100
SPEECH = common.AudioBuffer(samples=bytes(20), sample_rate=16_000, channels=1, format=2)


@dataclass
class TakingSession:
    """Takes all that it is sent, and notes it."""

    sources: tuple[str, ...]
    taken: list[tuple[Any, ...]] = field(default_factory=list)

    def send_nowait(self, node_id: str, value: Value, **place: Any) -> int:
        assert place.pop("entered_ns")
        self.taken.append((node_id, value, *place.values()))
        return len(self.taken)


class Stream:
    """The way of one client's requests into a session that waits for them."""

    def __init__(self, *sources: str, max_samples: int = 0) -> None:
        self.codec, self.course = CodecTime(), Course()
        self.session = TakingSession(sources)
        limits = CallLimits(common.ResourceLimits(max_audio_samples=max_samples))
        self.feed = Feed(limits, Files((), LARGEST), self.codec, LARGEST)
        self.feed._session, self.feed._sources = self.session, sources
        self.feed._inbox._is_taking = True
        context: Any = None
        self.passage = Passage(self.course, self.feed, Replies(context))

    def told(self, request: Any) -> tuple[Any, ...] | None:
        """What is wrong with a request; None where it is taken."""
        try:
            assert self.passage.take(request)
        except PenstockError as exc:
            return type(exc), str(exc), exc.sequence
        return None


REQUESTS = st.builds(
    dict,
    node_id=st.sampled_from(["", "a", "b"]),
    sequence=st.integers(0, 4) | st.integers((1 << 64) - 2, (1 << 64) - 1),
    timestamp_ms=st.sampled_from([0, 0, 0, 7, (1 << 63) // 1000 - 1, 1 << 60]),
    samples=st.integers(0, 60),
)


def request_of(node_id: str, sequence: int, timestamp_ms: int, samples: int) -> bytes:
    audio = common.AudioBuffer()
    audio.CopyFrom(SPEECH)
    audio.samples = bytes(2 * samples)
    numbers: Any = {"node_id": node_id, "sequence": sequence, "timestamp_ms": timestamp_ms}
    said = pb.DataChunk(buffer=common.DataBuffer(audio=audio), **numbers)
    return pb.StreamRequest(data_chunk=said).SerializeToString()


@given(st.lists(REQUESTS, max_size=8), st.integers(1, 2), st.integers(0, 200))
def test_speech_is_taken_and_refused_as_what_protobuf_has_read(
    requests: list[dict[str, Any]], sources: int, max_samples: int
) -> None:
    names = ("a", "b")[:sources]
    quick, slow = (Stream(*names, max_samples=max_samples) for _ in range(2))
    for fields in requests:
        data = request_of(**fields)
        speech = read_speech(data)
        assert speech is not None
        assert quick.told(speech) == slow.told(read_request(data))
    assert quick.session.taken == slow.session.taken
    assert quick.feed.taken == slow.feed.taken == len(quick.session.taken)
    assert quick.course.read == slow.course.read == len(requests)


def test_what_is_taken_counts_as_decoding_and_as_a_move() -> None:
    stream = Stream("a")
    moved_at = stream.feed.moved_at
    assert stream.told(read_speech(request_of("", 1, 2, 10))) is None
    (node_id, value, sequence, timestamp_us), *rest = stream.session.taken
    assert (node_id, sequence, timestamp_us, rest) == ("a", 1, 2000, [])
    assert isinstance(value, Audio)
    assert stream.codec.decoding_s > 0
    assert stream.feed.moved_at > moved_at


def test_all_but_chunks_is_left_to_who_reads_and_nothing_is_taken_once_it_is_closed() -> None:
    stream = Stream("a")
    malformed = Malformed("request")
    assert not stream.passage.take(read_request(CLOSE.SerializeToString()))
    assert not stream.passage.take(malformed)
    stream.passage.close()
    assert stream.passage.take(read_request(CLOSE.SerializeToString()))
    assert stream.passage.take(read_request(chunk("x").SerializeToString()))
    assert not stream.passage.take(malformed)
    assert stream.course.read == 0
    assert stream.session.taken == []


@pytest.mark.parametrize("place", [1, 2])
def test_what_was_given_up_is_only_numbered(place: int) -> None:
    stream = Stream("a")
    stream.course.overtake(place, everything=True)
    for sequence in (5, 6, 7):
        assert stream.told(read_speech(request_of("a", sequence, 0, 1))) is None
    assert [taken[2] for taken in stream.session.taken] == [6, 7][place - 1 :]
    refused = stream.told(read_speech(request_of("a", 7, 0, 1)))
    assert refused is not None
    assert refused[2] == 7
