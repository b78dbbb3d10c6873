"""What headers say of a call, what is said back, and that HPACK reads it as it was written."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from penstock.service.rpc.headers import (
    LENGTH,
    BadCallError,
    Headers,
    MalformedCallError,
    NotGrpcError,
    Opening,
    PlainEncoder,
    read_opening,
    response_headers,
    trailers,
)

MOST = 2000
ENTRY_BYTES = 32
OPENING = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": b"/a.B/C",
    b":authority": b"localhost",
    b"content-type": b"application/grpc",
    b"te": b"trailers",
}


def opened(*more: tuple[bytes, bytes], **said: bytes) -> Opening:
    changed = {b":" + name.encode(): value for name, value in said.items()}
    return read_opening([*(OPENING | changed).items(), *more], MOST)


def refused(*more: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    """What is said to a call that can't be served."""
    with pytest.raises(BadCallError) as caught:
        opened(*more)
    said = dict(caught.value.headers)
    assert said[b":status"] == b"200"
    assert said[b"content-type"] == b"application/grpc"
    return said


def code(one: grpc.StatusCode) -> bytes:
    return str(one.value[0]).encode()


def test_a_call_has_a_method_and_the_metadata_that_is_not_for_grpc() -> None:
    found = opened((b"a", b"1"), (b"user-agent", b"x"), (b"a", b"2"), (b"b", b""))
    assert found == Opening(
        method="/a.B/C",
        metadata=(("a", "1"), ("user-agent", "x"), ("a", "2"), ("b", "")),
        timeout_s=None,
        encoding="identity",
        accepted=(),
    )


def test_a_method_and_metadata_that_are_no_text_are_read_all_the_same() -> None:
    found = opened((b"a", b"\xff\xc3\xa9"), path=b"/a\xff/B")
    assert found.method == "/a\ufffd/B"
    assert found.metadata == (("a", "\ufffdé"),)


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"post", b""])
def test_what_is_not_posted_is_no_grpc(method: bytes) -> None:
    with pytest.raises(NotGrpcError) as caught:
        opened(method=method)
    assert caught.value.headers == [(b":status", b"405")]


@pytest.mark.parametrize("said", [b"", b"text/html", b"application/json", b"xapplication/grpc"])
def test_what_is_of_another_type_is_no_grpc(said: bytes) -> None:
    with pytest.raises(NotGrpcError) as caught:
        opened((b"content-type", said))
    assert caught.value.headers == [(b":status", b"415")]


def test_what_says_nothing_is_no_grpc() -> None:
    with pytest.raises(NotGrpcError):
        read_opening([], MOST)


def test_the_type_may_say_how_messages_are_written() -> None:
    assert opened((b"content-type", b"application/grpc+proto")).method == "/a.B/C"


def test_messages_are_compressed_by_what_is_known() -> None:
    assert opened((b"grpc-encoding", b"gzip")).encoding == "gzip"
    assert opened((b"grpc-encoding", b"deflate")).encoding == "deflate"
    said = refused((b"grpc-encoding", b"snappy"))
    assert said[b"grpc-status"] == code(grpc.StatusCode.UNIMPLEMENTED)
    assert b"snappy" in said[b"grpc-message"]
    assert b"gzip" in said[b"grpc-accept-encoding"]


def test_of_what_a_client_accepts_the_known_counts() -> None:
    assert opened((b"grpc-accept-encoding", b"br, gzip,identity,,")).accepted == (
        "gzip",
        "identity",
    )


@pytest.mark.parametrize("lengths", [[b"5"], [b"0"], [b"5", b"5"], [b"9" * 200]])
def test_a_length_of_all_is_no_metadata(lengths: list[bytes]) -> None:
    assert opened(*[(LENGTH, length) for length in lengths]).metadata == ()


@pytest.mark.parametrize("wrong", [b"\0", b"\r", b"\n", b"a\r\nb: c", b"a\0"])
@pytest.mark.parametrize("name", [b"a", b"a-bin", b":path", b"user-agent", b"grpc-timeout"])
def test_a_value_that_would_be_more_than_a_line_is_malformed(name: bytes, wrong: bytes) -> None:
    with pytest.raises(MalformedCallError):
        opened((name, wrong))


@pytest.mark.parametrize("name", [b"", b"A", b"a b", b"a\n", b"a:b", b":", b"\xff", b"\x7f"])
def test_a_name_that_is_none_is_malformed(name: bytes) -> None:
    with pytest.raises(MalformedCallError):
        opened((name, b"x"))


@pytest.mark.parametrize("name", [b"a", b"0", b"a-b_c.d", b"!#$%&'*+^`|~"])
def test_a_name_may_be_of_anything_else(name: bytes) -> None:
    assert opened((name, b" x\ty\x1b ")).metadata == ((name.decode(), " x\ty\x1b "),)


@pytest.mark.parametrize("lengths", [[b""], [b"x"], [b"-1"], [b"1.0"], [b"\xb2"], [b"1", b"2"]])
def test_a_length_that_is_none_is_malformed(lengths: list[bytes]) -> None:
    with pytest.raises(MalformedCallError):
        opened(*[(LENGTH, length) for length in lengths])


@given(st.binary(max_size=40))
def test_bytes_are_in_base64_with_or_without_padding(value: bytes) -> None:
    padded = base64.b64encode(value)
    for said in (padded, padded.rstrip(b"=")):
        assert opened((b"a-bin", said)).metadata == (("a-bin", value),)


@pytest.mark.parametrize("said", [b"a", b"abcde", b"a b=", b"ab-_", b"=", b"ab=c", b"\xff\xff"])
def test_bytes_that_are_no_base64_are_refused(said: bytes) -> None:
    found = refused((b"a-bin", said))
    assert found[b"grpc-status"] == code(grpc.StatusCode.INVALID_ARGUMENT)
    assert b"a-bin" in found[b"grpc-message"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"2H", 7200.0),
        (b"2M", 120.0),
        (b"2S", 2.0),
        (b"2m", 0.002),
        (b"2u", 2e-6),
        (b"2n", 2e-9),
        (b"0S", 0.0),
        (b"99999999H", 99_999_999 * 3600.0),
    ],
)
def test_a_timeout_is_digits_and_a_unit(said: bytes, seconds: float) -> None:
    assert opened((b"grpc-timeout", said)).timeout_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    "said",
    [
        *(b"", b"1", b"S", b"1s", b"1 S", b"-1S", b"+1S", b"1.5S", b"123456789S", b"1SS"),
        "٣S".encode(),
        b"\xb2S",
    ],
)
def test_any_other_timeout_is_refused(said: bytes) -> None:
    found = refused((b"grpc-timeout", said))
    assert found[b"grpc-status"] == code(grpc.StatusCode.INVALID_ARGUMENT)
    assert b"grpc-timeout" in found[b"grpc-message"]


def test_metadata_may_be_as_much_as_is_allowed_and_no_more() -> None:
    has = sum(len(name) + len(value) + ENTRY_BYTES for name, value in OPENING.items())
    room = MOST - has - len(b"a") - ENTRY_BYTES
    assert opened((b"a", b"x" * room)).metadata == (("a", "x" * room),)
    said = refused((b"a", b"x" * (room + 1)))
    assert said[b"grpc-status"] == code(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert f"{MOST + 1} vs. {MOST}".encode() in said[b"grpc-message"]


def test_each_header_counts_for_more_than_its_letters() -> None:
    assert refused(*[(b"a", b"")] * (MOST // ENTRY_BYTES))


def said_of(message: str, *metadata: Any) -> Headers:
    return trailers(grpc.StatusCode.ABORTED, message, metadata)


def test_a_call_ends_with_a_status() -> None:
    assert trailers(grpc.StatusCode.OK, "", ()) == [(b"grpc-status", b"0")]
    assert said_of("why") == [(b"grpc-status", b"10"), (b"grpc-message", b"why")]


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("all of ~!'\"()", b"all of ~!'\"()"),
        ("50%", b"50%25"),
        ("a\nb\r\0\x7f", b"a%0Ab%0D%00%7F"),
        ("é€", b"%C3%A9%E2%82%AC"),
    ],
)
def test_a_message_has_nothing_but_plain_letters_on_the_wire(message: str, written: bytes) -> None:
    assert said_of(message)[1] == (b"grpc-message", written)


def test_metadata_of_the_end_is_text_or_bytes_in_base64() -> None:
    assert said_of("", ("a", "text"), ("b-bin", b"\0\xff\xfe\xfd")) == [
        (b"grpc-status", b"10"),
        (b"a", b"text"),
        (b"b-bin", b"AP/+/Q"),
    ]


@given(st.binary(max_size=40))
def test_bytes_that_are_sent_are_read_back(value: bytes) -> None:
    _, sent = said_of("", ("a-bin", value))
    assert opened(sent).metadata == (("a-bin", value),)


def test_an_answer_says_what_it_is_compressed_by() -> None:
    assert (b"grpc-encoding", b"gzip") in response_headers("gzip")
    assert b"grpc-encoding" not in dict(response_headers("identity"))
    assert dict(response_headers("identity"))[b"grpc-accept-encoding"] == b"identity,deflate,gzip"


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 300, 16_510, 16_511, 20_000])
def test_hpack_reads_a_value_of_any_size(size: int) -> None:
    headers = [(b"before", b"x"), (b"a", b"v" * size), (b"n" * max(size, 1), b""), (b"z", b"y")]
    decoder = Decoder(max_header_list_size=1 << 20)
    assert decoder.decode(PlainEncoder().encode(headers), raw=True) == headers


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=300))))
def test_hpack_reads_all_headers_and_keeps_none(headers: Headers) -> None:
    decoder = Decoder(max_header_list_size=1 << 20)
    for _ in range(2):
        assert decoder.decode(PlainEncoder().encode(headers), raw=True) == headers
    assert not decoder.header_table.dynamic_entries
