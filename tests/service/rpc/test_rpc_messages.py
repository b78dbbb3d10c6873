"""Messages come out of a stream as they went in, however it is cut, and nothing else does."""

from __future__ import annotations

import gzip
import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.service.rpc.messages import (
    PREFIX_BYTES,
    Assembly,
    MalformedError,
    Packed,
    TooLargeError,
    compressed,
)

MOST = 1000
ENCODINGS = ["gzip", "deflate"]


def prefix(size: int, *, compressed: bool = False) -> bytes:
    """What is before a message: a flag, and a length."""
    return struct.pack(">BI", compressed, size)


def framed(message: bytes, encoding: str | None = None) -> bytes:
    packed = message if encoding is None else compressed(message, encoding)
    return prefix(len(packed), compressed=encoding is not None) + packed


def expanded(packed: bytes, encoding: str, most: int) -> bytes:
    return Packed(packed, encoding, most).expanded()


def read(messages: list[bytes | Packed]) -> list[bytes]:
    return [one.expanded() if isinstance(one, Packed) else one for one in messages]


def assembly(encoding: str = "identity", most: int = MOST) -> Assembly:
    return Assembly(most, encoding)


def test_a_whole_message_is_one() -> None:
    one = assembly()
    assert one.add(framed(b"abc")) == [b"abc"]
    assert not one.has_begun
    assert one.add(framed(b"d")) == [b"d"]


def test_a_message_cut_anywhere_is_the_same() -> None:
    whole = framed(b"abcdef")
    for at in range(1, len(whole)):
        one = assembly()
        assert one.add(whole[:at]) == []
        assert one.has_begun
        assert one.add(whole[at:]) == [b"abcdef"]
        assert not one.has_begun


def test_a_message_may_come_byte_by_byte() -> None:
    one = assembly()
    found = [one.add(bytes((byte,))) for byte in framed(b"abc")]
    assert found == [[]] * 7 + [[b"abc"]]


def test_missing_is_what_has_yet_to_come_of_a_message() -> None:
    one = assembly()
    one.add(framed(b"abcdef")[: PREFIX_BYTES - 1])
    assert one.missing == 0
    one.add(framed(b"abcdef")[PREFIX_BYTES - 1 : PREFIX_BYTES + 2])
    assert one.missing == 4


def test_several_messages_may_come_at_once_and_part_of_the_next() -> None:
    one = assembly()
    last = framed(b"last")
    assert one.add(framed(b"a") + framed(b"") + framed(b"bc") + last[:7]) == [b"a", b"", b"bc"]
    assert one.has_begun
    assert one.add(last[7:]) == [b"last"]


def test_nothing_is_no_message_and_an_empty_message_is_one() -> None:
    one = assembly()
    assert one.add(b"") == []
    assert not one.has_begun
    assert one.add(framed(b"")) == [b""]
    assert not one.has_begun


@pytest.mark.parametrize("cut", [0, 3, 8])
def test_a_message_may_be_as_large_as_is_allowed_and_no_larger(cut: int) -> None:
    whole = framed(bytes(MOST))
    one = assembly()
    assert [*one.add(whole[:cut]), *one.add(whole[cut:])] == [bytes(MOST)]
    with pytest.raises(TooLargeError, match=rf"{MOST + 1} vs. {MOST}"):
        assembly().add(framed(bytes(MOST + 1)))


def test_a_message_is_too_large_as_soon_as_it_says_so() -> None:
    with pytest.raises(TooLargeError, match="4294967295"):
        assembly().add(prefix(0xFFFF_FFFF))


@pytest.mark.parametrize("flag", [2, 3, 128, 255])
def test_a_flag_is_0_or_1(flag: int) -> None:
    with pytest.raises(MalformedError, match=f"got {flag}"):
        assembly("gzip").add(bytes((flag,)) + framed(b"abc")[1:])


def test_nothing_is_compressed_by_a_way_that_was_not_named() -> None:
    with pytest.raises(MalformedError, match="grpc-encoding"):
        assembly().add(framed(b"abc", "gzip"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_messages_and_others_may_come_in_turns(encoding: str) -> None:
    whole = framed(b"abc" * 90, encoding) + framed(b"plain") + framed(b"", encoding)
    assert read(assembly(encoding).add(whole)) == [b"abc" * 90, b"plain", b""]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_compressed_message_may_be_as_large_as_is_allowed_and_no_larger(encoding: str) -> None:
    assert read(assembly(encoding).add(framed(bytes(MOST), encoding))) == [bytes(MOST)]
    for size in (MOST + 1, 100 * MOST):
        with pytest.raises(TooLargeError, match="expanded"):
            read(assembly(encoding).add(framed(bytes(size), encoding)))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("what", ["rubbish after it", "cut off", "twice", "none", "empty"])
def test_what_is_not_exactly_one_compressed_message_is_refused(encoding: str, what: str) -> None:
    packed = compressed(b"abc" * 9, encoding)
    sent = {
        "rubbish after it": packed + b"x",
        "cut off": packed[:-1],
        "twice": packed * 2,
        "none": b"none",
        "empty": b"",
    }[what]
    with pytest.raises(MalformedError):
        read(assembly(encoding).add(prefix(len(sent), compressed=True) + sent))


def test_gzip_and_deflate_are_what_others_mean_by_them() -> None:
    assert gzip.decompress(compressed(b"abc", "gzip")) == b"abc"
    assert zlib.decompress(compressed(b"abc", "deflate")) == b"abc"
    assert expanded(gzip.compress(b"abc"), "gzip", 3) == b"abc"
    assert expanded(zlib.compress(b"abc"), "deflate", 3) == b"abc"
    with pytest.raises(MalformedError, match="deflate"):
        expanded(gzip.compress(b"abc"), "deflate", 3)


@given(st.binary(max_size=3000), st.sampled_from(ENCODINGS))
def test_what_is_compressed_expands_to_itself(message: bytes, encoding: str) -> None:
    packed = compressed(message, encoding)
    assert expanded(packed, encoding, len(message)) == message
    if message:
        with pytest.raises(TooLargeError):
            expanded(packed, encoding, len(message) - 1)


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.sampled_from([None, "gzip"]))),
    st.lists(st.integers(0, 400)),
)
@example([(b"a", None), (b"b", None)], [6])
def test_messages_cut_anywhere_come_out_the_same(
    messages: list[tuple[bytes, str | None]], cuts: list[int]
) -> None:
    whole = b"".join(framed(*message) for message in messages)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    one = assembly("gzip")
    found = [message for begin, end in pairwise(edges) for message in one.add(whole[begin:end])]
    assert read(found) == [message for message, _ in messages]
    assert not one.has_begun


@given(st.binary(max_size=60), st.sampled_from(["identity", "gzip", "deflate"]))
def test_any_bytes_are_messages_or_refused(data: bytes, encoding: str) -> None:
    try:
        messages = assembly(encoding).add(data)
    except (MalformedError, TooLargeError):
        return
    assert sum(len(message) for message in messages) <= MOST * len(messages)
