"""The receiving half of an HTTP/2 server connection: what each frame means in each state of its stream.

Handlers take (flags, stream id, payload) of one whole frame, report by events and refuse by StreamFault or
ConnectionFault. Sections named are those of RFC 9113.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_decoder import HeaderBomb, HeaderListTooLarge, HpackDecoder
from rmqgateway.wire.hpack_encoder import HpackEncoder
from rmqgateway.wire.hpack_tables import Header
from rmqgateway.wire.http2_events import (
    DataReceived,
    Event,
    GoAwayReceived,
    PingAcknowledged,
    RequestReceived,
    SettingsAcknowledged,
    SettingsChanged,
    StreamReset,
    TrailersReceived,
)
from rmqgateway.wire.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    PRIORITY_FLAG,
    ErrorCode,
    Setting,
    goaway_frame,
    ping_ack_frame,
    rst_stream_frame,
    settings_frame,
)
from rmqgateway.wire.http2_headers import NO_LENGTH, check_fields, read_request, read_trailers
from rmqgateway.wire.http2_limits import Bucket, Http2Limits
from rmqgateway.wire.http2_outgoing import DEFAULT_WINDOW, Outgoing
from rmqgateway.wire.http2_payloads import read_settings, strip_padding
from rmqgateway.wire.http2_streams import ConnectionFault, Stream, StreamFault

__all__ = ["HANDLERS", "SHUTDOWN_PING", "Incoming"]

SHUTDOWN_PING = b"shutdown"

_PADDED_OR_PRIORITY = PADDED | PRIORITY_FLAG
# Ranges of stream ids passed over that are kept, to name the right error (section 5.1.1).
_SKIPPED_RANGES = 32
_unpack_word = struct.Struct(">I").unpack_from


class Incoming(Outgoing):
    """Streams and settings as the peer's frames move them."""

    __slots__ = (
        "_acknowledged",
        "_block_fault",
        "_block_flags",
        "_block_parts",
        "_block_size",
        "_block_stream",
        "_decoder",
        "_events",
        "_goaway_at",
        "_idle_bucket",
        "_initial_window",
        "_last_stream",
        "_reset_bucket",
        "_skipped",
        "peer_settings",
    )

    def __init__(self, limits: Http2Limits, encoder: HpackEncoder, now: float) -> None:
        super().__init__(limits, encoder, now)
        # Until the peer acknowledges our SETTINGS it may count on the RFC's values.
        self._decoder = HpackDecoder(
            max(limits.header_table_size, 4096), limits.max_header_list_size, limits.max_headers
        )
        self._initial_window = max(DEFAULT_WINDOW, limits.stream_window)
        self._acknowledged = False
        self.peer_settings: dict[int, int] = {}
        self._events: list[Event] = []
        self._last_stream = 0
        self._skipped: list[tuple[int, int]] = []
        # Streams above are not served; None while nothing was announced.
        self._goaway_at: int | None = None
        # A header block whose END_HEADERS has not come.
        self._block_stream = 0
        self._block_flags = 0
        self._block_fault = ""
        self._block_parts: list[bytes] = []
        self._block_size = 0
        self._reset_bucket = Bucket(limits.reset_burst, limits.reset_rate, now)
        self._idle_bucket = Bucket(limits.idle_frame_burst, limits.idle_frame_rate, now)

    # Faults and their counts

    def _idle_frame(self, what: str) -> None:
        if not self._idle_bucket.take(self._now):
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, f"too many frames that carry nothing, the last: {what}"
            )

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > self._last_stream or not stream_id & 1

    def _fail_stream(self, fault: StreamFault) -> None:
        """RST_STREAM for a fault of the peer; it counts like a reset by the peer (CVE-2025-8671)."""
        stream_id = fault.stream
        if self._is_idle(stream_id):
            raise ConnectionFault(fault.code, fault.message)
        self._put_control(rst_stream_frame(stream_id, fault.code))
        self._remember(stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._remove(stream)
            self._events.append(StreamReset(stream_id, fault.code, False, fault.message))
        self._count_reset()

    def _count_reset(self) -> None:
        if not self._reset_bucket.take(self._now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams are reset")

    def _check_gone(self, stream_id: int, what: str) -> None:
        """A frame on a stream that is not in use is forgiven only where we reset the stream (section 5.1)."""
        if self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}, which is idle")
        if stream_id not in self._resets and stream_id > self._forgotten:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"{what} on stream {stream_id}, which is closed")
        self._idle_frame(f"{what} on a stream that was reset")

    # DATA (section 6.1)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if size > self._recv_window:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
        stream = self._streams.get(stream_id)
        if stream is None:
            self._check_gone(stream_id, "DATA")
            self._recv_window -= size
            self._credit += size
            if self._credit >= self._credit_at:
                self._give_credit()
            return
        self._recv_window -= size
        stream.unconsumed += size
        if not stream.remote_open:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM")
        if size > stream.recv_window:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the stream's window")
        stream.recv_window -= size
        if flags & PADDED:
            payload = strip_padding(payload)
        length = len(payload)
        stream.received += length
        if flags & END_STREAM:
            if stream.expected != NO_LENGTH and stream.expected != stream.received:
                raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "content-length and body differ")
            stream.remote_open = False
            self._events.append(DataReceived(stream_id, payload, size, True))
        elif stream.received > stream.expected != NO_LENGTH:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "the body is longer than content-length")
        elif length:
            self._events.append(DataReceived(stream_id, payload, size, False))
        else:
            self._idle_frame("empty DATA")
            self.consumed(stream_id, size)

    # HEADERS and CONTINUATION (sections 6.2, 6.10)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        fault = ""
        if flags & _PADDED_OR_PRIORITY:
            if flags & PADDED:
                payload = strip_padding(payload)
            if flags & PRIORITY_FLAG:
                if len(payload) < 5:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
                if _unpack_word(payload)[0] & MAX_STREAM_ID == stream_id:
                    fault = "a stream depends on itself"
                payload = payload[5:]
        if flags & END_HEADERS:
            self._on_block(stream_id, flags, payload, fault)
            return
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        self._block_stream = stream_id
        self._block_flags = flags
        self._block_fault = fault
        self._block_parts = [payload]
        self._block_size = len(payload)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._block_stream or stream_id != self._block_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without its HEADERS")
        parts = self._block_parts
        parts.append(payload)
        self._block_size += len(payload)
        if self._block_size > self.limits.max_header_block:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, f"a header block of over {self.limits.max_header_block} bytes"
            )
        if len(parts) > self.limits.max_continuations + 1:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, f"over {self.limits.max_continuations} CONTINUATION frames"
            )
        if flags & END_HEADERS:
            self._block_stream = 0
            self._block_parts = []
            self._on_block(stream_id, self._block_flags, b"".join(parts), self._block_fault)

    def _on_block(self, stream_id: int, flags: int, block: bytes, fault: str) -> None:
        """A whole header block: it is decoded whatever its stream, for the table must stay in step."""
        stream = self._streams.get(stream_id)
        gone = False
        if stream is None:
            if stream_id > self._last_stream and stream_id & 1:
                if stream_id != self._last_stream + 2:
                    self._skip(stream_id)
                self._last_stream = stream_id
            elif stream_id & 1 and not any(first <= stream_id <= last for first, last in self._skipped):
                self._check_gone(stream_id, "HEADERS")
                gone = True
            else:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS may not open stream {stream_id}")
        try:
            headers = self._decoder.decode(block)
        except HeaderBomb as error:
            # To decode the rest only to keep the table in step would cost milliseconds a frame.
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, error.message) from None
        except HeaderListTooLarge as error:
            if gone:
                return
            raise StreamFault(stream_id, ErrorCode.ENHANCE_YOUR_CALM, error.message) from None
        if fault:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
        try:
            if stream is not None:
                self._on_trailers(stream, headers, flags)
            elif not gone:
                self._open(stream_id, headers, not flags & END_STREAM)
        except StreamFault:
            raise
        except WireError as error:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, error.message) from None

    def _skip(self, stream_id: int) -> None:
        first = self._last_stream + 2 if self._last_stream else 1
        if first < stream_id:
            self._skipped.append((first, stream_id - 2))
            del self._skipped[:-_SKIPPED_RANGES]

    def _open(self, stream_id: int, headers: list[Header], remote_open: bool) -> None:
        if self._goaway_at is not None and stream_id > self._goaway_at:
            self._remember(stream_id)  # the peer knows by GOAWAY that nobody serves it
            return
        if len(self._streams) >= self.limits.max_concurrent_streams:
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "too many concurrent streams")
        if self._decoder.tainted:
            check_fields(headers)
        method, scheme, authority, path, protocol, regular, expected = read_request(
            headers, self.limits.enable_connect_protocol
        )
        if expected > 0 and not remote_open:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "content-length without a body")
        self._streams[stream_id] = Stream(
            stream_id, self._initial_window, self._peer_initial, expected, remote_open
        )
        self._events.append(
            RequestReceived(stream_id, method, scheme, authority, path, regular, not remote_open, protocol)
        )

    def _on_trailers(self, stream: Stream, headers: list[Header], flags: int) -> None:
        if not stream.remote_open:
            raise StreamFault(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
        if not flags & END_STREAM:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
        if self._decoder.tainted:
            check_fields(headers)
        read_trailers(headers)
        if stream.expected != NO_LENGTH and stream.expected != stream.received:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "content-length and body differ")
        stream.remote_open = False
        self._events.append(TrailersReceived(stream.id, headers))

    # Frames of streams

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is five bytes")
        if _unpack_word(payload)[0] & MAX_STREAM_ID == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        self._idle_frame("PRIORITY")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is four bytes")
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._remove(stream)
            self._events.append(StreamReset(stream_id, _unpack_word(payload)[0], True))
            self._count_reset()
        elif self._is_idle(stream_id):
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle"
            )

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is four bytes")
        increment = _unpack_word(payload)[0] & MAX_WINDOW
        if stream_id == 0:
            if increment == 0:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self._send_window += increment
            if self._send_window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window overflows")
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise ConnectionFault(
                    ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle"
                )
        elif increment == 0:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        elif not self._widen(stream, increment):
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window overflows")

    # Frames of the connection

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS acknowledgement with content")
            self._on_settings_ack()
            return
        settings = read_settings(payload)
        # Each takes effect once, with its last value: a frame must not cost thousands of walks over the streams.
        initial = settings.get(Setting.INITIAL_WINDOW_SIZE)
        if initial is not None:
            change = initial - self._peer_initial
            self._peer_initial = initial
            for stream in self._streams.values() if change else ():
                if not self._widen(stream, change):
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window overflows by SETTINGS")
        if Setting.MAX_FRAME_SIZE in settings:
            self._peer_frame = settings[Setting.MAX_FRAME_SIZE]
        if Setting.HEADER_TABLE_SIZE in settings:
            self._encoder.set_table_size(settings[Setting.HEADER_TABLE_SIZE])
        self.peer_settings.update(settings)
        self._put_control(settings_frame(None))
        self._events.append(SettingsChanged(settings))

    def _on_settings_ack(self) -> None:
        if self._acknowledged:
            self._idle_frame("a SETTINGS acknowledgement")
            return
        self._acknowledged = True
        self._decoder.set_max_table_size(self.limits.header_table_size)
        change = self.limits.stream_window - self._initial_window
        if change:
            self._initial_window += change
            for stream in self._streams.values():
                stream.recv_window += change
        self._events.append(SettingsAcknowledged())

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is eight bytes")
        if not flags & ACK:
            self._put_control(ping_ack_frame(payload))
        elif payload == SHUTDOWN_PING:
            if self._goaway_at == MAX_STREAM_ID:
                self._goaway_at = self._last_stream
                self._put(goaway_frame(self._last_stream, ErrorCode.NO_ERROR))
        else:
            self._idle_frame("a PING acknowledgement")
            self._events.append(PingAcknowledged(payload))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is at least eight bytes")
        self._idle_frame("GOAWAY")
        last, code = _unpack_word(payload)[0] & MAX_STREAM_ID, _unpack_word(payload, 4)[0]
        self._events.append(GoAwayReceived(last, code, payload[8:]))


#: By frame type; DATA and HEADERS come first.
HANDLERS: tuple[Callable[[Incoming, int, int, bytes], None], ...] = (
    Incoming._on_data,
    Incoming._on_headers,
    Incoming._on_priority,
    Incoming._on_rst_stream,
    Incoming._on_settings,
    Incoming._on_push_promise,
    Incoming._on_ping,
    Incoming._on_goaway,
    Incoming._on_window_update,
    Incoming._on_continuation,
)
