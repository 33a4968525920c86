"""An HTTP/2 server connection (RFC 9113) without I/O: bytes in, events out, bytes to send.

The owner feeds :meth:`Http2Connection.receive_data`, acts on the events, calls the ``send_*`` methods and then writes
``bytes_to_send()``. There is no clock: time comes in as an argument. A fault of the peer on one stream resets it; one
on the connection queues GOAWAY and ends the events with ConnectionTerminated.

`http2_incoming` and `http2_outgoing` are the two halves, `http2_frames` the numbers and bytes, `http2_events` what is
reported, `http2_limits` what is permitted.
"""

from __future__ import annotations

import struct

from rmqgateway.errors import WireError
from rmqgateway.wire.hpack_encoder import HpackEncoder
from rmqgateway.wire.http2_events import (
    ConnectionTerminated,
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
    MAX_STREAM_ID,
    PREFACE,
    ErrorCode,
    FrameType,
    Setting,
    error_name,
    goaway_frame,
    ping_frame,
    settings_frame,
    window_update_frame,
)
from rmqgateway.wire.http2_incoming import HANDLERS, SHUTDOWN_PING, Incoming
from rmqgateway.wire.http2_limits import Http2Limits
from rmqgateway.wire.http2_outgoing import DEFAULT_WINDOW
from rmqgateway.wire.http2_streams import ConnectionFault, StreamFault

__all__ = [
    "PREFACE",
    "ConnectionTerminated",
    "DataReceived",
    "ErrorCode",
    "Event",
    "GoAwayReceived",
    "Http2Connection",
    "Http2Limits",
    "PingAcknowledged",
    "RequestReceived",
    "SettingsAcknowledged",
    "SettingsChanged",
    "StreamReset",
    "TrailersReceived",
    "error_name",
]

_NO_EVENTS: list[Event] = []
_unpack_head = struct.Struct(">IBI").unpack_from  # length and type share the first word
_SETTINGS = int(FrameType.SETTINGS)
_CONTINUATION = int(FrameType.CONTINUATION)


class Http2Connection(Incoming):
    """One connection, the server's end; our SETTINGS wait in ``bytes_to_send`` from the start.

    :param now: the time at which limits begin to count, in seconds, by any clock that does not go back.
    :param encoder: a HpackEncoder with choices of its own.
    :ivar terminated: a fatal fault ended it; only what ``bytes_to_send`` holds is left to do.
    :ivar peer_settings: what the peer announced, by identifier.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_need",
        "_settled",
        "terminated",
    )

    def __init__(
        self, limits: Http2Limits | None = None, now: float = 0.0, *, encoder: HpackEncoder | None = None
    ) -> None:
        limits = Http2Limits() if limits is None else limits
        super().__init__(limits, HpackEncoder() if encoder is None else encoder, now)
        self.terminated = False
        self._buffer = bytearray()
        # Bytes without which the buffer is not worth another look.
        self._need = 1
        # The preface came; the first SETTINGS came.
        self._begun = self._settled = False
        settings: dict[int, int] = {
            Setting.HEADER_TABLE_SIZE: limits.header_table_size,
            Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
            Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
            Setting.MAX_FRAME_SIZE: limits.max_frame_size,
            Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
        }
        if limits.enable_connect_protocol:
            settings[Setting.ENABLE_CONNECT_PROTOCOL] = 1
        self._put(settings_frame(settings))
        if self._recv_window > DEFAULT_WINDOW:
            self._put(window_update_frame(0, self._recv_window - DEFAULT_WINDOW))

    @property
    def last_stream(self) -> int:
        """The highest stream that was served."""
        return self._last_stream if self._goaway_at is None else min(self._last_stream, self._goaway_at)

    @property
    def drained(self) -> bool:
        """New streams are refused, all others are done, all bytes are taken: the connection may be closed."""
        return self._goaway_at not in (None, MAX_STREAM_ID) and not self._streams and not self._out

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take what arrived at `now`, split anywhere. Never raises; after ConnectionTerminated nothing follows."""
        events: list[Event] = []
        if self.terminated:
            return events
        self._now = now
        self._events = events
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._need:
                return events
            data = bytes(buffer)
            buffer.clear()
        pos = 0
        size = len(data)
        try:
            if self._out_size > self.limits.max_unsent:
                self._out.clear()
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "the peer sends on and reads nothing")
            if not self._settled:
                pos = self._begin(data)
            self._need = 9
            max_frame_size = self.limits.max_frame_size
            while size - pos >= 9:
                word, flags, stream_id = _unpack_head(data, pos)
                length = word >> 8
                kind = word & 0xFF
                if length > max_frame_size:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
                start = pos + 9
                end = start + length
                if end > size:
                    self._need = end - pos
                    break
                if self._block_stream and kind != _CONTINUATION:
                    raise ConnectionFault(
                        ErrorCode.PROTOCOL_ERROR, "a header block is interrupted by another frame"
                    )
                pos = end
                try:
                    if kind == 0:
                        self._on_data(flags, stream_id & MAX_STREAM_ID, data[start:end])
                    elif kind == 1:
                        self._on_headers(flags, stream_id & MAX_STREAM_ID, data[start:end])
                    elif kind <= _CONTINUATION:
                        HANDLERS[kind](self, flags, stream_id & MAX_STREAM_ID, data[start:end])
                    else:
                        self._idle_frame("a frame of unknown type")
                except StreamFault as fault:
                    self._fail_stream(fault)
            if pos < size:
                buffer += data[pos:] if pos else data
        except ConnectionFault as fault:
            self._terminate(fault.code, fault)
        except WireError as error:  # only HPACK raises a plain one
            self._terminate(ErrorCode.COMPRESSION_ERROR, error)
        # What came is not kept until more comes: an idle connection would hold its last request.
        self._events = _NO_EVENTS
        return events

    def tick(self, now: float) -> None:
        """Tell the time without data, so that what is queued from here on is known to wait since then."""
        self._now = now

    def goaway(self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"") -> None:
        """Serve no more new streams; those that are open go on. Repeated calls say nothing more."""
        if not self.terminated and self._goaway_at in (None, MAX_STREAM_ID):
            self._goaway_at = self._last_stream
            self._put(goaway_frame(self._last_stream, code, debug))

    def shutdown(self) -> None:
        """Begin a graceful stop: warn the peer, and refuse new streams after one round trip (section 6.8).

        The second GOAWAY follows the peer's answer to a PING; an owner that has waited long enough calls `goaway`.
        """
        if not self.terminated and self._goaway_at is None:
            self._goaway_at = MAX_STREAM_ID
            self._put(goaway_frame(MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self._put(ping_frame(SHUTDOWN_PING))

    def ping(self, payload: bytes) -> None:
        """Ask for a PingAcknowledged with these eight bytes."""
        if len(payload) != 8 or payload == SHUTDOWN_PING:
            raise WireError("ping: expected eight bytes of your own", fatal=False)
        if not self.terminated:
            self._put(ping_frame(payload))

    def _begin(self, data: bytes) -> int:
        """Check the preface and that SETTINGS come first (section 3.4); where the frames begin, or the end of data
        while that is not known."""
        if not self._begun:
            if not PREFACE.startswith(data[:24]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the connection preface is wrong")
            if len(data) < 24:
                self._buffer += data
                return len(data)
            self._begun = True
            start = 24
        else:
            start = 0
        if len(data) - start >= 9:
            word, flags, _ = _unpack_head(data, start)
            if word & 0xFF != _SETTINGS or flags & ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._settled = True
        return start

    def _terminate(self, code: ErrorCode, error: WireError) -> None:
        self.terminated = True
        self._put(goaway_frame(self.last_stream, code, error.message.encode("ascii", "replace")[:200]))
        self._goaway_at = self.last_stream
        self._streams.clear()
        self._ready.clear()
        self._blocked.clear()
        self._block_parts = []
        self._buffer.clear()
        self._queued = 0
        self._events.append(ConnectionTerminated(code, error))
