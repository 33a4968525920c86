"""HTTP/1.1 requests: events, any split, and everything that smugglers try."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.wire.http1 import (
    BodyData,
    Event,
    Http1Decoder,
    Http1Error,
    RequestEnd,
    RequestHead,
    encode_chunk,
    encode_head,
    last_chunk,
    reason_phrase,
)

POST = b"POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A:  v \t\r\n\r\nhello"
CHUNKED = (
    b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"
)
GET = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


def summary(events: list[Event]) -> list[object]:
    """What happened, with the pieces of bodies joined."""
    found: list[object] = []
    for event in events:
        if isinstance(event, RequestHead):
            found += [(event.method, event.target), b""]
        elif isinstance(event, BodyData):
            body = found.pop()
            assert isinstance(body, bytes)
            found.append(body + event.data)
        else:
            found.append(event.trailers)
    return found


def read_all(decoder: Http1Decoder, pieces: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        events += decoder.receive_data(piece)
        while events and isinstance(events[-1], RequestEnd):
            more = decoder.next_request()
            if not more:
                break
            events += more
    return events


EXPECTED = [
    (b"POST", b"/v1/x?a=1"), b"hello", [],
    (b"PUT", b"/"), b"abcde", [(b"x-trailer", b"t")],
    (b"GET", b"/"), b"", [],
]  # fmt: skip


def test_a_request_is_taken_apart() -> None:
    head, body, end = Http1Decoder().receive_data(POST)
    assert isinstance(head, RequestHead)
    assert head.headers == [(b"host", b"h"), (b"content-length", b"5"), (b"x-a", b"v")]
    assert (head.minor, head.keep_alive, head.content_length, head.expects_continue, head.upgrade) == (
        1,
        True,
        5,
        False,
        b"",
    )
    assert body == BodyData(b"hello") and end == RequestEnd()


def test_one_request_at_a_time() -> None:
    decoder = Http1Decoder()
    assert summary(decoder.receive_data(POST + CHUNKED + GET)) == EXPECTED[:3]
    assert decoder.receive_data(b"") == []
    assert decoder.buffered == len(CHUNKED + GET)
    assert summary(decoder.next_request()) == EXPECTED[3:6]
    assert summary(decoder.next_request()) == EXPECTED[6:]
    assert decoder.next_request() == [] and decoder.between_requests


@given(st.lists(st.integers(0, len(POST + CHUNKED + GET)), max_size=12))
def test_any_split(cuts: list[int]) -> None:
    data = POST + CHUNKED + GET
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert summary(read_all(Http1Decoder(), pieces)) == EXPECTED


def test_byte_by_byte() -> None:
    data = POST + b"\r\n" + CHUNKED + GET
    assert summary(read_all(Http1Decoder(), [data[i : i + 1] for i in range(len(data))])) == EXPECTED


@pytest.mark.parametrize(
    ("head", "keep_alive", "upgrade", "expects"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", False, b"", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True, b"", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False, b"", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", False, b"", False),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            True,
            b"websocket",
            False,
        ),
        (b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", True, b"", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n", True, b"", True),
        (b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", False, b"", False),
    ],
)
def test_what_the_client_wants(head: bytes, keep_alive: bool, upgrade: bytes, expects: bool) -> None:
    request = Http1Decoder().receive_data(head)[0]
    assert isinstance(request, RequestHead)
    assert (request.keep_alive, request.upgrade, request.expects_continue) == (keep_alive, upgrade, expects)


def test_an_upgrade_takes_the_rest() -> None:
    decoder = Http1Decoder()
    decoder.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nREST")
    assert decoder.take_rest() == b"REST"
    with pytest.raises(Http1Error):
        decoder.receive_data(b"more")


H = b"POST / HTTP/1.1\r\nHost: h\r\n"
CH = H + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "text", "status"),
    [
        (b"GET / HTTP/1.1\nHost: h\n\n", "CR LF", 400),
        (b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "CR LF", 400),
        (b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", "CR LF", 400),
        (b"GET /\r\n\r\n", "request line", 400),
        (b"GET / HTTP/2.0\r\n\r\n", "request line", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", "request line", 400),
        (b"G(T / HTTP/1.1\r\n\r\n", "request line", 400),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", "request line", 400),
        (b"GET / HTTP/1.1\r\n\r\n", "Host", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Host", 400),
        (H + b"X : y\r\n\r\n", "name: value", 400),
        (H + b"X: y\r\n z\r\n\r\n", "folding", 400),
        (H + b"X: \x00\r\n\r\n", "name: value", 400),
        (H + b"nonsense\r\n\r\n", "name: value", 400),
        (H + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "Content-Length", 400),
        (H + b"Content-Length: +5\r\n\r\n", "Content-Length", 400),
        (H + b"Content-Length: 5, 5\r\n\r\n", "Content-Length", 400),
        (H + b"Content-Length: 0x5\r\n\r\n", "Content-Length", 400),
        (H + b"Content-Length: 1234567890123456789\r\n\r\n", "Content-Length", 400),
        (H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both", 400),
        (H + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked", 501),
        (H + b"Transfer-Encoding: identity\r\n\r\n", "chunked", 501),
        (H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0", 400),
        (CH + b"g\r\n", "chunk size", 400),
        (CH + b"-1\r\n", "chunk size", 400),
        (CH + b"0x1\r\n", "chunk size", 400),
        (CH + b"11111111111111111\r\n", "chunk size", 400),
        (CH + b"1\nx", "chunk size", 400),
        (CH + b"1;" + b"e" * 300 + b"\r\n", "chunk size", 400),
        (CH + b"1\r\nxx\r\n", "behind its data", 400),
        (CH + b"1\r\nxy", "behind its data", 400),
        (CH + b"0\r\nbad\r\n\r\n", "name: value", 400),
        (CH + b"0\r\n" + b"a: b\r\n" * 2000 + b"\r\n", "trailers", 431),
        (H + b"X: " + b"y" * 40_000, "at most", 431),
        (H + b"X: y\r\n" * 200 + b"\r\n", "fields", 431),
    ],
)
def test_refused(data: bytes, text: str, status: int) -> None:
    decoder = Http1Decoder()
    with pytest.raises(Http1Error) as caught:
        decoder.receive_data(data)
    assert text in caught.value.message
    assert caught.value.status == status
    assert decoder.buffered == 0
    with pytest.raises(Http1Error):
        decoder.receive_data(b"GET / HTTP/1.1\r\n")


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([POST, CHUNKED, GET, b"\r\n", b"0\r\n\r\n", b"\x00"])).map(b"".join)
)
def test_garbage_raises_nothing_else(data: bytes) -> None:
    try:
        read_all(Http1Decoder(), [data])
    except Http1Error:
        pass


def test_dripped_heads_are_searched_once() -> None:
    decoder = Http1Decoder(max_head=1 << 20)
    decoder.receive_data(b"GET / HTTP/1.1\r\n")
    for _ in range(20_000):
        decoder.receive_data(b"a: b\r\n")
    assert decoder.buffered == 16 + 6 * 20_000


def test_responses() -> None:
    assert encode_head(200, [(b"a", b"b")]) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"
    assert encode_head(299, []) == b"HTTP/1.1 299 Unknown\r\n\r\n"
    assert encode_chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert last_chunk([(b"t", b"v")]) == b"0\r\nt: v\r\n\r\n"
    assert reason_phrase(429) == b"Too Many Requests" and reason_phrase(799) == b"Unknown"


def test_a_head_that_came_before_is_not_parsed_again_and_means_the_same() -> None:
    heads: dict[bytes, RequestHead] = {}
    first = Http1Decoder(heads=heads)
    cold = first.receive_data(POST)
    (known,) = heads.values()
    for other in (first, Http1Decoder(heads=heads)):
        other.next_request()
        warm = other.receive_data(POST)
        assert warm == cold
        assert warm[0] is known
        assert not other.between_requests and other.buffered == 0
    assert len(heads) == 1


@pytest.mark.parametrize("cut", [1, 20, len(POST) - 5, len(POST) - 1])
def test_a_known_head_may_come_in_pieces_and_with_more_behind_it(cut: int) -> None:
    heads: dict[bytes, RequestHead] = {}
    Http1Decoder(heads=heads).receive_data(POST)
    decoder = Http1Decoder(heads=heads)
    pieces = [POST[:cut], POST[cut:] + GET + GET]
    assert summary(read_all(decoder, pieces)) == summary(read_all(Http1Decoder(), pieces))


def test_heads_are_kept_within_bounds() -> None:
    heads: dict[bytes, RequestHead] = {}
    for number in range(2000):
        Http1Decoder(heads=heads).receive_data(b"GET /%d HTTP/1.1\r\nhost: h\r\n\r\n" % number)
    Http1Decoder(heads=heads).receive_data(b"GET /%s HTTP/1.1\r\nhost: h\r\n\r\n" % (b"x" * 2000))
    assert 0 < len(heads) <= 512
    assert max(map(len, heads)) <= 1024
