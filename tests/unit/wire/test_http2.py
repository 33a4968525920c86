"""HTTP/2 conversations that go well: requests, responses, settings, pings, a graceful stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.http2 import (
    PREFACE,
    DataReceived,
    ErrorCode,
    Event,
    GoAwayReceived,
    Http2Connection,
    Http2Limits,
    PingAcknowledged,
    RequestReceived,
    SettingsAcknowledged,
    SettingsChanged,
    StreamReset,
    TrailersReceived,
    error_name,
)
from tests.unit.wire.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADERS,
    PADDED,
    PING,
    PRIORITISED,
    PRIORITY,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    TRAILERS,
    WINDOW_UPDATE,
    Peer,
    frame,
    setting,
    word,
)


def _request(stream: int, end_stream: bool) -> RequestReceived:
    return RequestReceived(
        stream,
        b"POST",
        b"http",
        b"localhost:8081",
        b"/a.Service/Method",
        [(b"content-type", b"application/grpc"), (b"te", b"trailers")],
        end_stream,
    )


def test_the_greeting_announces_our_limits() -> None:
    peer = Peer(Http2Limits(enable_connect_protocol=True))
    settings = b"".join(
        setting(name, value)
        for name, value in ((1, 4096), (3, 256), (4, 1 << 20), (5, 16384), (6, 16384), (8, 1))
    )
    assert peer.greeting == [
        (SETTINGS, 0, 0, settings),
        (WINDOW_UPDATE, 0, 0, word((4 << 20) - 65535)),
        (SETTINGS, ACK, 0, b""),
    ]
    assert peer.events == [SettingsChanged({})]


def test_a_small_connection_window_needs_no_update() -> None:
    assert [item[0] for item in Peer(Http2Limits(connection_window=65535)).greeting] == [SETTINGS, SETTINGS]


def test_a_unary_call_is_answered_in_one_write() -> None:
    peer = Peer()
    events = peer.receive(peer.headers(1, flags=0) + frame(DATA, END_STREAM, 1, b"question"))
    assert events == [_request(1, False), DataReceived(1, b"question", 8, True)]
    assert peer.connection.send_response(1, HEAD, b"answer", TRAILERS) == 0
    (first, second, third) = peer.frames()
    assert first[:3] == (HEADERS, END_HEADERS, 1)
    assert peer.decoder.decode(first[3]) == list(HEAD)
    assert second == (DATA, 0, 1, b"answer")
    assert third[:3] == (HEADERS, END_HEADERS | END_STREAM, 1)
    assert peer.decoder.decode(third[3]) == list(TRAILERS)
    assert peer.connection.open_streams == 0


def test_a_call_in_pieces_is_answered_in_pieces() -> None:
    peer = Peer()
    assert peer.open(1, flags=0) == [_request(1, False)]
    peer.connection.send_headers(1, HEAD)
    assert peer.connection.send_data(1, b"one") == 0
    assert peer.connection.send_data(1, b"") == 0
    assert peer.receive(frame(DATA, 0, 1, b"more")) == [DataReceived(1, b"more", 4, False)]
    trailers = [(b"x-checksum", b"1")]
    assert peer.receive(peer.headers(1, trailers)) == [TrailersReceived(1, trailers)]
    peer.connection.send_trailers(1, TRAILERS)
    kinds = [item[:3] for item in peer.frames()]
    assert kinds == [(HEADERS, END_HEADERS, 1), (DATA, 0, 1), (HEADERS, END_HEADERS | END_STREAM, 1)]
    assert peer.connection.open_streams == 0


def test_answers_without_trailers_and_without_body() -> None:
    peer = Peer()
    peer.open(1, 3, 5)
    peer.connection.send_headers(1, HEAD, end_stream=True)
    peer.connection.send_headers(3, HEAD)
    peer.connection.send_data(3, b"x", end_stream=True)
    peer.connection.send_headers(5, HEAD)
    peer.connection.send_data(5, b"", end_stream=True)
    assert [item[:3] for item in peer.frames()] == [
        (HEADERS, END_HEADERS | END_STREAM, 1),
        (HEADERS, END_HEADERS, 3),
        (DATA, END_STREAM, 3),
        (HEADERS, END_HEADERS, 5),
        (DATA, END_STREAM, 5),
    ]


def test_an_answer_before_the_request_ended_stops_the_peer() -> None:
    peer = Peer()
    peer.open(1, flags=0)
    peer.connection.send_headers(1, HEAD, end_stream=True)
    assert peer.frames()[-1] == (RST_STREAM, 0, 1, word(ErrorCode.NO_ERROR))
    # What was under way is ignored.
    assert peer.receive(frame(DATA, 0, 1, b"late") + peer.headers(1, [(b"t", b"late")])) == []
    assert peer.frames() == []


def test_padding_and_priority_are_taken_off() -> None:
    peer = Peer()
    block = peer.encoder.encode(REQUEST)
    padded = frame(
        HEADERS, PADDED | PRIORITISED | END_HEADERS, 1, b"\3" + word(7) + b"\x10" + block + b"\0\0\0"
    )
    assert peer.receive(padded) == [_request(1, False)]
    assert peer.receive(frame(PRIORITY, 0, 9, word(1) + b"\0")) == []
    assert peer.receive(frame(DATA, PADDED, 1, b"\2hi\0\0")) == [DataReceived(1, b"hi", 5, False)]
    assert peer.receive(frame(DATA, PADDED | END_STREAM, 1, b"\0")) == [DataReceived(1, b"", 1, True)]


def test_large_header_blocks_use_continuation_both_ways() -> None:
    limits = Http2Limits(max_header_list_size=60_000, max_header_block=60_000)
    peer = Peer(limits)
    fields = [*REQUEST, (b"x-large", b"v" * 40_000)]
    block = peer.encoder.encode(fields)
    parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
    assert peer.receive(frame(HEADERS, END_STREAM, 1, parts[0])) == []
    assert peer.receive(frame(CONTINUATION, 0, 1, parts[1])) == []
    (event,) = peer.receive(frame(CONTINUATION, END_HEADERS, 1, parts[2]))
    assert isinstance(event, RequestReceived)
    assert (event.headers[-1], event.end_stream) == (fields[-1], True)
    large = (*HEAD, (b"x-large", b"w" * 40_000))
    peer.connection.send_headers(1, large, end_stream=True)
    frames = peer.frames()
    kinds = [(HEADERS, END_STREAM), (CONTINUATION, 0), (CONTINUATION, END_HEADERS)]
    assert [item[:2] for item in frames] == kinds
    assert peer.decoder.decode(b"".join(item[3] for item in frames)) == list(large)
    peer.open(3)
    peer.connection.send_response(3, HEAD, b"", (*TRAILERS, (b"x-large", b"w" * 40_000)))
    assert [item[:2] for item in peer.frames()] == [(HEADERS, END_HEADERS), (DATA, 0), *kinds]


def test_settings_are_applied_acknowledged_and_reported() -> None:
    peer = Peer()
    payload = (
        setting(1, 0)
        + setting(4, 10)
        + setting(4, 20)
        + setting(5, 20_000)
        + setting(0x99, 5)
        + setting(2, 0)
    )
    (event,) = peer.receive(frame(SETTINGS, 0, 0, payload))
    assert event == SettingsChanged({1: 0, 4: 20, 5: 20_000, 2: 0})
    assert peer.connection.peer_settings == {1: 0, 4: 20, 5: 20_000, 2: 0}
    assert peer.frames() == [(SETTINGS, ACK, 0, b"")]
    peer.open(1)
    peer.connection.send_headers(1, HEAD)
    assert peer.connection.send_data(1, b"x" * 30) == 30
    head, body = peer.frames()
    assert head[3][:1] == b"\x20"  # the table of size 0 is announced
    assert body == (DATA, 0, 1, b"x" * 20)


def test_our_settings_count_from_their_acknowledgement() -> None:
    peer = Peer(Http2Limits(stream_window=10, header_table_size=0), acknowledge=False)
    assert [type(event) for event in peer.open(1, flags=0)] == [RequestReceived]
    assert peer.receive(frame(DATA, 0, 1, b"x" * 100)) == [DataReceived(1, b"x" * 100, 100, False)]
    assert peer.receive(frame(SETTINGS, ACK, 0)) == [SettingsAcknowledged()]
    assert peer.receive(frame(SETTINGS, ACK, 0)) == []
    block = b"\x20" + b"\x83\x86\x04\x01/\x01\x01h"  # the table is given up first
    peer.receive(frame(HEADERS, END_HEADERS, 3, block))
    peer.frames()
    assert peer.fault(frame(DATA, 0, 3, b"x" * 11)) == (RST_STREAM, 3, ErrorCode.FLOW_CONTROL_ERROR)


def test_pings_both_ways() -> None:
    peer = Peer()
    assert peer.receive(frame(PING, 0, 0, b"abcdefgh")) == []
    peer.connection.ping(b"12345678")
    assert peer.frames() == [(PING, ACK, 0, b"abcdefgh"), (PING, 0, 0, b"12345678")]
    assert peer.receive(frame(PING, ACK, 0, b"12345678")) == [PingAcknowledged(b"12345678")]
    for bad in (b"short", b"shutdown"):
        with pytest.raises(WireError):
            peer.connection.ping(bad)


def test_goaway_of_the_peer_is_reported() -> None:
    peer = Peer()
    assert peer.receive(frame(GOAWAY, 0, 0, word(0) + word(2) + b"bye")) == [GoAwayReceived(0, 2, b"bye")]


def test_a_graceful_stop_takes_two_steps() -> None:
    peer = Peer()
    peer.open(1)
    peer.connection.shutdown()
    peer.connection.shutdown()
    warning, ping = peer.frames()
    assert warning == (GOAWAY, 0, 0, word(0x7FFFFFFF) + word(0))
    assert peer.open(3) == [_request(3, True)], "what the peer sent meanwhile is served"
    peer.receive(frame(PING, ACK, 0, ping[3]))
    assert peer.frames() == [(GOAWAY, 0, 0, word(3) + word(0))]
    peer.receive(frame(PING, ACK, 0, ping[3]))
    assert peer.open(5, flags=0) == [], "later ones are not"
    assert peer.receive(frame(DATA, END_STREAM, 5, b"x")) == []
    assert peer.connection.last_stream == 3
    for stream in (1, 3):
        assert not peer.connection.drained
        peer.connection.send_response(stream, HEAD, b"x", TRAILERS)
    assert not peer.connection.drained
    assert len(peer.frames()) == 6
    assert peer.connection.drained


def test_an_owner_may_cut_the_graceful_stop_short() -> None:
    peer = Peer()
    peer.connection.shutdown()
    assert not peer.connection.drained
    peer.connection.goaway(ErrorCode.NO_ERROR, b"maintenance")
    peer.connection.goaway()
    assert peer.frames()[-1] == (GOAWAY, 0, 0, word(0) + word(0) + b"maintenance")
    assert peer.connection.drained
    peer.receive(b"\xff" * 9)
    assert peer.connection.terminated
    frames = len(peer.frames())
    peer.connection.goaway()
    peer.connection.shutdown()
    peer.connection.ping(b"12345678")
    assert (frames, peer.frames()) == (1, [])


def test_resets_both_ways() -> None:
    peer = Peer()
    peer.open(1, 3)
    assert peer.receive(frame(RST_STREAM, 0, 1, word(8))) == [StreamReset(1, 8, True)]
    assert peer.receive(frame(RST_STREAM, 0, 1, word(8))) == []
    peer.connection.reset(3)
    peer.connection.reset(3)
    assert peer.frames() == [(RST_STREAM, 0, 3, word(8))]
    # A stream that is gone takes anything.
    for stream in (1, 3):
        peer.connection.send_headers(stream, HEAD)
        peer.connection.send_trailers(stream, TRAILERS)
        peer.connection.consumed(stream, 5)
        assert peer.connection.send_data(stream, b"x") == peer.connection.queued(stream) == 0
        assert peer.connection.send_response(stream, HEAD, b"x", TRAILERS) == 0
    assert not peer.connection.wants_write


def test_misuse_by_the_owner_is_refused() -> None:
    peer = Peer()
    peer.open(1)
    connection = peer.connection
    for call in (lambda: connection.send_data(1, b"x"), lambda: connection.send_trailers(1, TRAILERS)):
        with pytest.raises(WireError) as caught:
            call()
        assert (caught.value.fatal, caught.value.request_id) == (False, 1)
    connection.send_headers(1, HEAD)
    with pytest.raises(WireError):
        connection.send_headers(1, HEAD)
    with pytest.raises(WireError):
        connection.send_response(1, HEAD, b"x", TRAILERS)


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ([(b":method", b"CONNECT"), (b":authority", b"h:1")], b""),
        (
            [
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                (b":scheme", b"https"),
                (b":path", b"/chat"),
                (b":authority", b"h:1"),
            ],
            b"websocket",
        ),
    ],
)
def test_connect_plain_and_extended(fields: list[tuple[bytes, bytes]], protocol: bytes) -> None:
    peer = Peer(Http2Limits(enable_connect_protocol=True))
    (event,) = peer.receive(peer.headers(1, fields, flags=0))
    assert isinstance(event, RequestReceived)
    assert (event.method, event.protocol, event.authority) == (b"CONNECT", protocol, b"h:1")


def _conversation(peer: Peer) -> bytes:
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, setting(4, 1000))
        + peer.headers(1, flags=0)
        + frame(DATA, 0, 1, b"abc")
        + frame(DATA, PADDED | END_STREAM, 1, b"\2de\0\0")
        + frame(PING, 0, 0, b"12345678")
        + frame(99, 0, 0, b"unknown")
        + peer.headers(3)
        + frame(WINDOW_UPDATE, 0, 0, word(9))
    )


@given(st.lists(st.integers(0, 30), max_size=60))
def test_any_split_gives_the_same_events(sizes: list[int]) -> None:
    data = _conversation(Peer())
    whole = Http2Connection()
    expected = whole.receive_data(data, 0.0)
    connection = Http2Connection()
    found: list[Event] = []
    for size in sizes:
        found += connection.receive_data(data[:size], 0.0)
        data = data[size:]
    found += connection.receive_data(data, 0.0)
    assert found == expected
    assert len(found) == 5
    assert connection.bytes_to_send() == whole.bytes_to_send()


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_garbage_never_raises(parts: list[bytes], begun: bool) -> None:
    connection = Http2Connection()
    if begun:
        connection.receive_data(PREFACE + frame(SETTINGS, 0, 0), 0.0)
    for part in parts:
        connection.receive_data(part, 0.0)
    connection.bytes_to_send()


@given(
    st.lists(
        st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 7), st.binary(max_size=12)),
        max_size=30,
    )
)
def test_random_frames_never_raise(frames: list[tuple[int, int, int, bytes]]) -> None:
    connection = Http2Connection()
    data = PREFACE + frame(SETTINGS, 0, 0) + b"".join(frame(*item) for item in frames)
    for event in connection.receive_data(data, 0.0):
        if isinstance(event, RequestReceived):
            connection.send_response(event.stream, HEAD, b"x", TRAILERS)
    connection.bytes_to_send()


def test_error_names() -> None:
    assert error_name(11) == "ENHANCE_YOUR_CALM"
    assert error_name(99) == "error 99"
