"""Each known attack on HTTP/2 servers, bounded in count and in memory, and honest traffic beside the bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from rmqgateway.wire.http2 import (
    ConnectionTerminated,
    DataReceived,
    ErrorCode,
    Event,
    Http2Limits,
    RequestReceived,
    StreamReset,
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
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    TRAILERS,
    WINDOW_UPDATE,
    Peer,
    frame,
    setting,
    word,
)

_CALM = ErrorCode.ENHANCE_YOUR_CALM


@pytest.fixture(autouse=True)
def _bounded_memory() -> Iterator[None]:
    """No attack here may make a connection hold more than 2 MiB at any time."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def _end(events: list[Event]) -> int | None:
    """The code with which the connection ended, if it did."""
    last = events[-1] if events else None
    return last.code if isinstance(last, ConnectionTerminated) else None


def _count_until_the_end(peer: Peer, data: bytes, most: int, taken: bool = True) -> int:
    """How often `data` is tolerated before the connection ends with ENHANCE_YOUR_CALM."""
    for count in range(most):
        events = peer.receive(data)
        if taken:
            peer.connection.bytes_to_send()
        if peer.connection.terminated:
            assert _end(events) == _CALM
            return count
    return most


def test_rapid_reset() -> None:
    peer = Peer()
    for count in range(1000):
        stream = 2 * count + 1
        events = peer.receive(peer.headers(stream) + frame(RST_STREAM, 0, stream, word(8)))
        assert [type(event) for event in events] == [RequestReceived, StreamReset]
    assert _end(peer.receive(peer.headers(2001) + frame(RST_STREAM, 0, 2001, word(8)))) == _CALM
    assert peer.frames()[-1][0] == GOAWAY


def test_resets_at_an_honest_rate_go_on() -> None:
    peer = Peer()
    for count in range(5000):
        peer.now = count / 33
        stream = 2 * count + 1
        peer.receive(peer.headers(stream) + frame(RST_STREAM, 0, stream, word(8)))
        peer.frames()
    assert not peer.connection.terminated


def test_resets_that_the_peer_makes_us_send_count_the_same() -> None:
    peer = Peer()
    stream = 1
    while not peer.connection.terminated:
        peer.receive(peer.headers(stream, flags=0) + frame(WINDOW_UPDATE, 0, stream, word(0)))
        peer.frames()
        stream += 2
    assert stream == 2003
    peer = Peer(Http2Limits(max_concurrent_streams=1))
    peer.open(1)
    for refused in range(3, 3000, 2):
        peer.open(refused)
        peer.frames()
    assert peer.connection.terminated


def test_continuation_flood_by_count_and_by_bytes() -> None:
    peer = Peer()
    peer.receive(frame(HEADERS, 0, 1, b"\x82"))
    assert _count_until_the_end(peer, frame(CONTINUATION, 0, 1), 100) == 16
    peer = Peer()
    peer.receive(frame(HEADERS, 0, 1, b"\x82"))
    assert _count_until_the_end(peer, frame(CONTINUATION, 0, 1, b"x" * 16384), 100) == 1


@pytest.mark.parametrize("data", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, 0, 0, setting(4, 9))])
def test_answers_to_control_frames_are_bounded_while_nobody_reads(data: bytes) -> None:
    assert _count_until_the_end(Peer(), data, 2000, taken=False) == 1000
    assert _count_until_the_end(Peer(), data, 2000) == 2000, "as long as they are taken, they are answered"


def test_a_settings_frame_full_of_windows_walks_the_streams_once() -> None:
    peer = Peer()
    peer.open(*range(1, 101, 2))
    peer.frames()
    payload = b"".join(setting(4, number) for number in range(2730))
    peer.receive(frame(SETTINGS, 0, 0, payload))
    assert peer.frames() == [(SETTINGS, ACK, 0, b"")]
    assert {stream.send_window for stream in peer.connection._streams.values()} == {2729}


@pytest.mark.parametrize(
    "data",
    [
        frame(DATA, 0, 1),
        frame(DATA, PADDED, 1, b"\x03\0\0\0"),
        frame(DATA, 0, 3),  # reset by us
        frame(PRIORITY, 0, 9, bytes(5)),
        frame(99, 0, 0),
        frame(SETTINGS, ACK, 0),
        frame(PING, ACK, 0, b"12345678"),
        frame(GOAWAY, 0, 0, bytes(8)),
    ],
)
def test_frames_that_carry_nothing_are_bounded(data: bytes) -> None:
    peer = Peer()
    peer.open(1, 3, flags=0)
    peer.connection.reset(3)
    assert _count_until_the_end(peer, data, 3000) == 1000
    peer = Peer()
    peer.open(1, 3, flags=0)
    peer.connection.reset(3)
    for count in range(3000):
        peer.now = count / 33
        peer.receive(data)
        peer.frames()
    assert not peer.connection.terminated


def test_empty_header_blocks_reset_their_streams_and_are_counted() -> None:
    peer = Peer()
    stream = 1
    while not peer.connection.terminated:
        peer.receive(frame(HEADERS, END_HEADERS | END_STREAM, stream))
        peer.frames()
        stream += 2
    assert stream == 2003


def test_an_hpack_bomb_costs_its_stream_and_a_large_one_its_connection() -> None:
    peer = Peer()
    entry = b"\x40\x01a\x7f\x81\x1e" + b"v" * 3968  # fills the table
    peer.receive(frame(HEADERS, END_HEADERS, 1, entry))
    peer.frames()
    assert peer.fault(frame(HEADERS, END_HEADERS, 3, b"\xbe" * 1000)) == (RST_STREAM, 3, _CALM)
    assert peer.fault(frame(HEADERS, END_HEADERS, 5, b"\xbe" * 16000))[::2] == (GOAWAY, _CALM)


def test_zero_windows_hold_back_data_and_are_reported() -> None:
    peer = Peer(Http2Limits(max_concurrent_streams=100), settings=setting(4, 0))
    streams = range(1, 200, 2)
    peer.open(*streams)
    for stream in streams:
        assert peer.connection.send_response(stream, HEAD, b"x" * 5000, TRAILERS) == 5000
    assert peer.open(201) == []
    assert len(peer.frames()) == 101  # heads, and one refusal
    assert peer.connection.queued_bytes == 500_000
    assert peer.connection.stalled(29.9) == []
    for stream in peer.connection.stalled(30.0):
        peer.connection.reset(stream)
    assert peer.connection.queued_bytes == peer.connection.open_streams == 0


def test_a_peer_that_sends_on_and_reads_nothing_is_dropped() -> None:
    peer = Peer(settings=setting(4, 0x7FFFFFFF))
    peer.receive(frame(WINDOW_UPDATE, 0, 0, word(0x7FFFFFFF - 65535)))
    error = ((b":status", b"200"), (b"grpc-status", b"12"), (b"grpc-message", b"x" * 200))
    for stream in range(1, 100_000, 2):
        events = peer.open(stream)
        if peer.connection.terminated:
            assert _end(events) == _CALM
            break
        peer.connection.send_headers(stream, error, end_stream=True)
    assert peer.connection.terminated
    assert [item[0] for item in peer.frames()] == [GOAWAY], "what nobody read is dropped"


def test_a_dripped_frame_is_held_once() -> None:
    peer = Peer()
    peer.open(1, flags=0)
    data = frame(DATA, END_STREAM, 1, b"x" * 16384)
    events: list[Event] = []
    for start in range(len(data)):
        events += peer.receive(data[start : start + 1])
    assert events == [DataReceived(1, b"x" * 16384, 16384, True)]


def test_an_owner_that_does_not_consume_holds_one_window() -> None:
    peer = Peer(Http2Limits(connection_window=256 * 1024))
    peer.open(1, flags=0)
    held = 0
    while not peer.connection.terminated:
        for event in peer.receive(frame(DATA, 0, 1, b"x" * 16384)):
            if isinstance(event, DataReceived):
                held += event.flow_controlled_length
    assert held == 256 * 1024


def test_many_passed_over_streams_are_kept_in_few_ranges() -> None:
    peer = Peer()
    for stream in range(1, 4000, 4):
        peer.open(stream)
        peer.connection.reset(stream)
        peer.frames()
    assert len(peer.connection._skipped) == 32
    assert len(peer.connection._resets) <= 1024
