"""Flow control both ways, turns, back-pressure, and readers that stall."""

from __future__ import annotations

from rmqgateway.wire.http2 import DataReceived, ErrorCode, Http2Limits
from tests.unit.wire.http2_peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADERS,
    PADDED,
    RST_STREAM,
    SETTINGS,
    TRAILERS,
    WINDOW_UPDATE,
    Peer,
    frame,
    setting,
    word,
)

_MAX = 0x7FFFFFFF


def _sizes(frames: list[tuple[int, int, int, bytes]]) -> list[tuple[int, int]]:
    return [(stream, len(payload)) for kind, _, stream, payload in frames if kind == DATA]


def _answering(*streams: int, window: int = 65535, limits: Http2Limits | None = None) -> Peer:
    peer = Peer(limits, settings=setting(4, window))
    peer.open(*streams)
    for stream in streams:
        peer.connection.send_headers(stream, HEAD)
    peer.frames()
    return peer


# Receiving


def test_windows_reopen_only_as_the_owner_consumes() -> None:
    peer = Peer(Http2Limits(stream_window=70_000, connection_window=100_000))
    peer.open(1, flags=0)
    chunk = b"x" * 10_000
    for _ in range(7):
        assert len(peer.receive(frame(DATA, 0, 1, chunk))) == 1
    assert peer.frames() == []
    for _ in range(3):
        peer.connection.consumed(1, 10_000)
    assert peer.frames() == []
    peer.connection.consumed(1, 10_000)
    assert peer.frames() == [(WINDOW_UPDATE, 0, 1, word(40_000))]
    peer.connection.consumed(1, 10_000)
    assert peer.frames() == [(WINDOW_UPDATE, 0, 0, word(50_000))]
    peer.connection.consumed(1, 10**9)  # never more than was received
    for _ in range(4):
        assert len(peer.receive(frame(DATA, 0, 1, chunk))) == 1
    assert peer.fault(frame(DATA, 0, 1, chunk)) == (RST_STREAM, 1, ErrorCode.FLOW_CONTROL_ERROR)


def test_data_beyond_the_connection_window_ends_the_connection() -> None:
    peer = Peer(Http2Limits(connection_window=65535))
    peer.open(1, flags=0)
    for _ in range(6):
        peer.receive(frame(DATA, 0, 1, b"x" * 10_000))
    assert peer.fault(frame(DATA, 0, 1, b"x" * 10_000)) == (GOAWAY, 0, ErrorCode.FLOW_CONTROL_ERROR)


def test_bytes_of_streams_that_go_are_credited_once() -> None:
    peer = Peer(Http2Limits(stream_window=65535, connection_window=65535))
    for stream in (1, 3, 5):
        peer.open(stream, flags=0)
        peer.receive(frame(DATA, 0, stream, b"x" * 16_000))
        peer.connection.reset(stream)
        peer.connection.consumed(stream, 16_000)
    updates = [item for item in peer.frames() if item[0] == WINDOW_UPDATE]
    assert updates == [(WINDOW_UPDATE, 0, 0, word(48_000))]
    # Late frames of such streams are credited at once, and a response that ends credits what was not consumed.
    peer.receive(frame(DATA, 0, 5, b"x" * 16_000) * 2)
    assert peer.frames() == []
    peer.receive(frame(DATA, 0, 5, b"x" * 800))
    assert peer.frames() == [(WINDOW_UPDATE, 0, 0, word(32_800))]
    peer.open(7, flags=0)
    peer.receive(frame(DATA, 0, 7, b"x" * 16_000) * 2 + frame(DATA, END_STREAM, 7, b"x" * 1_000))
    peer.connection.send_response(7, HEAD, b"", TRAILERS)
    assert peer.frames()[-1] == (WINDOW_UPDATE, 0, 0, word(33_000))


def test_padding_counts_and_empty_padded_frames_are_credited_by_us() -> None:
    peer = Peer(Http2Limits(stream_window=65535, connection_window=65535))
    peer.open(1, flags=0)
    assert peer.receive(frame(DATA, PADDED, 1, b"\x02a\0\0")) == [DataReceived(1, b"a", 4, False)]
    for _ in range(128):
        assert peer.receive(frame(DATA, PADDED, 1, b"\xff" + b"\0" * 255)) == []
    updates = peer.frames()
    assert [(kind, stream) for kind, _, stream, _ in updates] == [(WINDOW_UPDATE, 0), (WINDOW_UPDATE, 1)]


def test_a_small_stream_window_reopens_too() -> None:
    peer = Peer(Http2Limits(stream_window=5000))
    peer.open(1, flags=0)
    peer.receive(frame(DATA, 0, 1, b"x" * 5000))
    peer.connection.consumed(1, 5000)
    assert peer.frames() == [(WINDOW_UPDATE, 0, 1, word(5000))]


# Sending


def test_data_waits_for_the_stream_window() -> None:
    peer = _answering(1, window=10)
    assert peer.connection.send_data(1, b"x" * 25) == 25
    assert peer.connection.send_data(1, b"y" * 5, end_stream=True) == 30
    assert peer.frames() == [(DATA, 0, 1, b"x" * 10)]
    assert not peer.connection.wants_write
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(17)))
    assert peer.connection.wants_write
    assert peer.frames() == [(DATA, 0, 1, b"x" * 15 + b"yy")]
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(100)))
    assert peer.frames() == [(DATA, END_STREAM, 1, b"yyy")]
    assert peer.connection.open_streams == peer.connection.queued_bytes == 0


def test_data_waits_for_the_connection_window() -> None:
    peer = _answering(1, 3, window=_MAX)
    assert peer.connection.send_data(1, b"x" * 65_000) == 65_000
    assert sum(size for _, size in _sizes(peer.frames())) == 65_000
    assert peer.connection.send_data(3, b"y" * 600) == 600
    assert _sizes(peer.frames()) == [(3, 535)]
    assert not peer.connection.wants_write
    peer.receive(frame(WINDOW_UPDATE, 0, 0, word(1000)))
    assert _sizes(peer.frames()) == [(3, 65)]


def test_trailers_and_unary_answers_wait_behind_their_data() -> None:
    peer = _answering(1, window=3)
    peer.connection.send_data(1, b"12345")
    peer.connection.send_trailers(1, TRAILERS)
    peer.open(3)
    assert peer.connection.send_response(3, HEAD, b"12345", TRAILERS) == 5
    assert [item[:3] for item in peer.frames()] == [(HEADERS, END_HEADERS, 3), (DATA, 0, 1), (DATA, 0, 3)]
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(2)) + frame(WINDOW_UPDATE, 0, 3, word(2)))
    end = END_HEADERS | END_STREAM
    kinds = [(DATA, 0, 1), (HEADERS, end, 1), (DATA, 0, 3), (HEADERS, end, 3)]
    assert [item[:3] for item in peer.frames()] == kinds


def test_an_empty_end_needs_no_window() -> None:
    peer = _answering(1, window=0)
    assert peer.connection.send_data(1, b"", end_stream=True) == 0
    assert peer.frames() == [(DATA, END_STREAM, 1, b"")]
    peer = _answering(1, window=5)
    peer.receive(frame(SETTINGS, 0, 0, setting(4, 5)))
    peer.connection.send_data(1, b"12345")
    peer.receive(frame(SETTINGS, 0, 0, setting(4, 0)))
    peer.frames()
    assert peer.connection.send_data(1, b"", end_stream=True) == 0, "the window is below zero"
    assert peer.frames() == [(DATA, END_STREAM, 1, b"")]


def test_a_changed_initial_window_moves_open_streams() -> None:
    peer = _answering(1, 3, window=10)
    peer.connection.send_data(1, b"x" * 30)
    peer.connection.send_data(3, b"y" * 10)
    assert sorted(_sizes(peer.frames())) == [(1, 10), (3, 10)]
    peer.connection.send_data(3, b"y" * 10)
    peer.receive(frame(SETTINGS, 0, 0, setting(4, 15)))
    assert sorted(_sizes(peer.frames())) == [(1, 5), (3, 5)]
    peer.receive(frame(SETTINGS, 0, 0, setting(4, 25)) + frame(SETTINGS, 0, 0, setting(4, 5)))
    assert _sizes(peer.frames()) == []
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(11)))
    assert _sizes(peer.frames()) == [(1, 1)]


def test_streams_take_turns() -> None:
    peer = _answering(1, 3, 5, window=_MAX)
    peer.receive(frame(WINDOW_UPDATE, 0, 0, word(10**6)))
    peer.connection.send_data(1, b"x" * 100_000, end_stream=True)
    peer.connection.send_data(3, b"y" * 40_000, end_stream=True)
    peer.connection.send_data(5, b"z" * 100, end_stream=True)
    order = _sizes(peer.frames())
    assert order[:5] == [(1, 16384), (3, 16384), (5, 100), (1, 16384), (3, 16384)]
    assert sum(size for _, size in order) == 140_100


def test_a_large_frame_size_of_the_peer_does_not_end_the_turns() -> None:
    peer = Peer(settings=setting(4, _MAX) + setting(5, 1 << 20))
    peer.open(1)
    peer.connection.send_headers(1, HEAD)
    peer.frames()
    peer.connection.send_data(1, b"x" * 30_000)  # goes out as it is
    assert _sizes(peer.frames()) == [(1, 30_000)]
    peer.receive(frame(WINDOW_UPDATE, 0, 0, word(10**6)))
    peer.connection.send_data(1, b"x" * (2 << 20))
    assert max(size for _, size in _sizes(peer.frames())) == 16384


def test_the_caller_of_bytes_to_send_sets_the_pace() -> None:
    peer = _answering(1, 3, window=_MAX)
    peer.receive(frame(WINDOW_UPDATE, 0, 0, word(10**6)))
    peer.connection.send_data(1, b"x" * 100_000)
    peer.connection.send_data(3, b"y" * 100_000)
    assert _sizes(peer.frames(30_000)) == [(1, 16384), (3, 16384)]
    assert peer.connection.wants_write
    assert peer.connection.queued(1) == 100_000 - 16384
    assert peer.connection.queued_bytes == 200_000 - 2 * 16384


def test_frames_not_taken_make_data_queue() -> None:
    peer = _answering(1, window=_MAX)
    peer.receive(frame(WINDOW_UPDATE, 0, 0, word(10**6)))
    queued = [peer.connection.send_data(1, b"x" * 16_000) for _ in range(6)]
    assert queued == [0, 0, 0, 0, 0, 16_000]
    assert len(peer.frames()) == 6


def test_a_full_queue_is_reported_when_it_opened() -> None:
    peer = _answering(1, 3, window=0, limits=Http2Limits(send_high=1000, send_low=400))
    assert peer.connection.send_data(1, b"x" * 900) <= 1000
    assert peer.connection.send_data(1, b"x" * 300) > 1000
    peer.connection.send_data(3, b"y" * 900)
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(700)) + frame(WINDOW_UPDATE, 0, 3, word(900)))
    peer.frames()
    assert peer.connection.take_opened() == []
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(100)))
    peer.frames()
    assert peer.connection.take_opened() == [1]
    assert peer.connection.take_opened() == []


def test_queues_of_streams_that_go_are_dropped() -> None:
    peer = _answering(1, 3, window=10)
    peer.connection.send_data(1, b"x" * 100)
    peer.connection.send_data(3, b"x" * 100)
    peer.frames()
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(10)))
    assert peer.connection.queued_bytes == 180
    peer.receive(frame(RST_STREAM, 0, 1, word(8)))  # it had its turn coming
    peer.connection.reset(3)  # it was blocked
    assert peer.connection.queued_bytes == 0
    assert [item[0] for item in peer.frames()] == [RST_STREAM]


# Readers that stall


def test_a_stalled_stream_is_named_while_others_go_on() -> None:
    peer = _answering(1, 3, window=10)
    peer.connection.tick(100.0)
    peer.connection.send_data(1, b"x" * 100)
    peer.connection.send_data(3, b"y" * 10)
    peer.frames()
    peer.now = 125.0
    peer.connection.tick(125.0)
    peer.connection.send_data(3, b"y" * 10)
    assert peer.connection.stalled(129.0) == []
    assert peer.connection.stalled(130.0) == [1]
    assert peer.connection.stalled(155.0) == [1, 3]
    # A few bytes are no progress, a kibibyte is.
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(10)))
    peer.frames()
    assert peer.connection.stalled(130.0) == [1]
    peer.connection.send_data(1, b"x" * 2000)
    peer.receive(frame(WINDOW_UPDATE, 0, 1, word(1014)))
    peer.frames()
    assert peer.connection.stalled(130.0) == []
    assert peer.connection.stalled(155.0) == [3, 1]


def test_a_closed_connection_window_stalls_all_that_wait() -> None:
    peer = _answering(1, 3, window=_MAX)
    peer.connection.send_data(1, b"x" * 65535)
    peer.connection.send_data(3, b"x" * 10)
    peer.frames()
    assert peer.connection.stalled(29.0) == []
    assert peer.connection.stalled(30.0) == [1], "the short one had its turn"
    peer.connection.reset(1, ErrorCode.CANCEL)
    assert peer.connection.stalled(30.0) == []
