"""The h2 package as the client of our connection: any requests, windows, answers and splits."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st

from rmqgateway.wire.http2 import (
    DataReceived,
    Http2Connection,
    Http2Limits,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)

_NAMES = st.sampled_from(
    [b"content-type", b"x-a", b"x-b", b"x-mq-request-id", b"authorization", b"user-agent"]
)
_VALUES = st.sampled_from([b"", b"application/grpc", b"gzip"]) | st.text("abc XYZ09-_.", max_size=20).map(
    lambda text: text.strip().encode()
)
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES), max_size=5)
_BODY = st.binary(max_size=50) | st.integers(0, 150_000).map(lambda size: b"b" * size)


class _Call:
    """What one stream carried, seen from one side."""

    def __init__(self) -> None:
        self.head: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.ended = False
        self.reset = False


class _Conversation:
    """Both ends, with bytes cut by `cuts` on the way to us and each side consuming at once."""

    def __init__(self, limits: Http2Limits, window: int, cuts: list[int]) -> None:
        self.server = Http2Connection(limits)
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        self.client.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.cuts = cuts
        self.requests: dict[int, _Call] = {}
        self.answers: dict[int, _Call] = {}
        self.client.initiate_connection()

    def pump(self) -> None:
        for _ in range(2000):
            upwards = self.client.data_to_send()
            downwards = self.server.bytes_to_send(20_000)
            if not upwards and not downwards:
                return
            while upwards:
                size = self.cuts[len(upwards) % len(self.cuts)]
                self._serve(upwards[:size])
                upwards = upwards[size:]
            if downwards:
                self._read(downwards)
        raise AssertionError("the conversation does not end")

    def _serve(self, data: bytes) -> None:
        for event in self.server.receive_data(data, 0.0):
            if isinstance(event, RequestReceived):
                call = self.requests[event.stream] = _Call()
                call.head = [(b":path", event.path), *event.headers]
                call.ended = event.end_stream
            elif isinstance(event, DataReceived):
                call = self.requests[event.stream]
                call.body += event.data
                call.ended = event.end_stream
                self.server.consumed(event.stream, event.flow_controlled_length)
            elif isinstance(event, TrailersReceived):
                self.requests[event.stream].trailers = event.headers
                self.requests[event.stream].ended = True
            elif isinstance(event, StreamReset):
                self.requests[event.stream].reset = True

    def _read(self, data: bytes) -> None:
        for event in self.client.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                call = self.answers[event.stream_id] = _Call()
                call.head = [(name, value) for name, value in event.headers]
            elif isinstance(event, h2.events.DataReceived):
                self.answers[event.stream_id].body += event.data
                if event.flow_controlled_length:
                    self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                self.answers[event.stream_id].trailers = [(name, value) for name, value in event.headers]
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id].ended = True
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise AssertionError(f"the server refused: {event}")

    def send(self, stream: int, body: bytes, trailers: list[tuple[bytes, bytes]], padding: int) -> None:
        """The request's body as the windows permit."""
        for _ in range(10_000):
            if not body:
                break
            room = min(self.client.local_flow_control_window(stream) - padding - 1, 16_000)
            if room <= 0:
                self.pump()
                continue
            self.client.send_data(stream, body[:room], pad_length=padding or None)
            body = body[room:]
        if trailers:
            self.client.send_headers(stream, trailers, end_stream=True)
        else:
            self.client.end_stream(stream)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            _FIELDS, _BODY, _FIELDS, st.sampled_from([0, 0, 7]), _FIELDS, _BODY, _FIELDS, st.booleans()
        ),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(1, 40_000), min_size=1, max_size=5),
    st.sampled_from([1000, 65535, 1 << 20]),
    st.sampled_from(
        [Http2Limits(), Http2Limits(stream_window=5000, connection_window=65535, header_table_size=100)]
    ),
)
def test_calls_arrive_whole_on_both_sides(
    calls: list[
        tuple[
            list[tuple[bytes, bytes]],
            bytes,
            list[tuple[bytes, bytes]],
            int,
            list[tuple[bytes, bytes]],
            bytes,
            list[tuple[bytes, bytes]],
            bool,
        ]
    ],
    cuts: list[int],
    window: int,
    limits: Http2Limits,
) -> None:
    talk = _Conversation(limits, window, cuts)
    talk.pump()
    streams = range(1, 2 * len(calls), 2)
    for stream, (fields, body, trailers, padding, *_) in zip(streams, calls, strict=True):
        head = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/%d" % stream),
            (b":authority", b"h"),
        ]
        talk.client.send_headers(stream, head + fields)
        talk.send(stream, body, trailers, padding)
    talk.pump()
    for stream, (fields, body, trailers, *_) in zip(streams, calls, strict=True):
        request = talk.requests[stream]
        assert request.head == [(b":path", b"/%d" % stream), *fields]
        assert (request.body, request.trailers, request.ended) == (body, trailers, True)
    for stream, (*_, fields, body, trailers, unary) in zip(streams, calls, strict=True):
        head = [(b":status", b"200"), *fields]
        if unary:
            talk.server.send_response(stream, head, body, trailers or [(b"grpc-status", b"0")])
        else:
            talk.server.send_headers(stream, head)
            talk.server.send_data(stream, body[:10])
            talk.server.send_data(stream, body[10:], end_stream=not trailers)
            if trailers:
                talk.server.send_trailers(stream, trailers)
    talk.pump()
    for stream, (*_, fields, body, trailers, unary) in zip(streams, calls, strict=True):
        answer = talk.answers[stream]
        assert answer.head == [(b":status", b"200"), *fields]
        assert answer.body == body
        assert answer.trailers == (trailers or ([(b"grpc-status", b"0")] if unary else []))
        assert answer.ended
    assert talk.server.open_streams == talk.server.queued_bytes == 0


def test_a_cancelled_call_and_a_last_goaway() -> None:
    talk = _Conversation(Http2Limits(), 65535, [100])
    head = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"h")]
    talk.client.send_headers(1, head)
    talk.client.reset_stream(1)
    talk.client.ping(b"12345678")
    talk.pump()
    assert talk.requests[1].reset
    talk.server.goaway()  # one step: h2 takes any GOAWAY for the end and the PING of `shutdown` for a fault
    events = talk.client.receive_data(talk.server.bytes_to_send())
    assert [type(event) for event in events] == [h2.events.ConnectionTerminated]
